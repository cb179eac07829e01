"""Samples as model inputs with class maps: augmented for training, as in production for evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess
from foveal.metrics.semantic import IGNORE
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.data.source_images import SampleCache, SourceImage, source_image
from foveal.models.data.warping import RandomWarp, production_matrix, somewhere, uniform, warp_image, warp_map
from foveal.models.segmentation.layouts import LabelMap, UInt8Array
from foveal.models.segmentation.recipe import SegmentationRecipe

Item = tuple[Tensor, Tensor]  # uint8 (H, W, 3) model input, uint8 (H, W) truth with IGNORE


class Maps(Dataset[Item]):
    """Model inputs and truths in memory: model inputs as production makes them, truths warped alike (nearest)."""

    def __init__(self, samples: Sequence[Sample[LabelMap]], preprocess: Preprocess) -> None:
        self._items = [_item(sample, preprocess) for sample in samples]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


def _item(sample: Sample[LabelMap], preprocess: Preprocess) -> Item:
    model_input, transform = preprocess.apply(decode(sample.path.read_bytes(), target_hw=preprocess.decode_target))
    truth = np.full(preprocess.input_hw, IGNORE, np.uint8)
    height, width = transform.content_hw
    size = (width, height)
    truth[:height, :width] = cv2.resize(sample.truth.read(), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return torch.from_numpy(model_input), torch.from_numpy(truth)


@dataclass(frozen=True)
class SourceMap:
    """An image to warp from, and its truth at the same size."""

    image: SourceImage
    truth: UInt8Array  # (H, W) class ids, IGNORE

    @property
    def nbytes(self) -> int:
        """Of image and truth."""
        return self.image.nbytes + self.truth.nbytes


def source_map(sample: Sample[LabelMap], preprocess: Preprocess, zoom: float) -> SourceMap:
    """As `source_image`, with the truth."""
    image = source_image(sample, preprocess, zoom)
    size = image.rgb.shape[1::-1]
    truth = cv2.resize(sample.truth.read(), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return SourceMap(image, np.asarray(truth, np.uint8))


def warp_of(recipe: SegmentationRecipe) -> RandomWarp | None:
    """The recipe's random geometry; None: training shows what production shows."""
    warp = RandomWarp(recipe.rotate_deg, recipe.shear_deg, recipe.perspective)
    whole = recipe.scale_min == recipe.scale_max == 1 and recipe.crop_hw in (None, recipe.input_hw)
    return None if warp.is_off and whole else warp


class RandomParts:
    """Random parts of images with their truths, each resampled once from the decoded image, truths by nearest pixel."""

    def __init__(
        self, sources: SampleCache[SourceMap] | Sequence[SourceMap], recipe: SegmentationRecipe, preprocess: Preprocess
    ) -> None:
        self._sources, self._preprocess = sources, preprocess
        self._scale, self._out_hw = (recipe.scale_min, recipe.scale_max), recipe.crop_hw or recipe.input_hw
        self._warp = warp_of(recipe) or RandomWarp()

    def __getitem__(self, index: int) -> Item:
        source = self._sources[index]
        image_hw, rgb = source.image.image_hw, source.image.rgb
        extent_hw = self._preprocess.resized_hw(image_hw)
        zoom = uniform(*self._scale)
        height, width = (side / zoom for side in self._out_hw)
        window = somewhere(extent_hw[1], width), somewhere(extent_hw[0], height), width, height
        matrix = self._warp.draw(window, self._out_hw)
        matrix = matrix @ production_matrix(self._preprocess, image_hw, rgb.shape[:2])
        model_input = warp_image(rgb, matrix, self._out_hw, self._preprocess.padding_rgb)
        truth = warp_map(source.truth, matrix, self._out_hw, IGNORE)
        return torch.from_numpy(model_input), torch.from_numpy(truth)


class AugmentedMaps(Dataset[Item]):
    """Model inputs and truths, augmented alike; an item is a function of its key.

    Args:
        items: as in production, or random parts of images; read with torch's generator seeded.
        recipe: mirrors, quarter turns and changes of colour.
    """

    def __init__(self, items: Maps | RandomParts, recipe: SegmentationRecipe) -> None:
        self._items, self._recipe = items, recipe
        steps: list[Any] = [v2.Identity()]
        if recipe.flip:
            steps.append(v2.RandomHorizontalFlip())
        if recipe.brightness or recipe.saturation or recipe.hue:
            steps.append(v2.ColorJitter(recipe.brightness, recipe.brightness, recipe.saturation, recipe.hue))
        self._augment = v2.Compose(steps)

    def __getitem__(self, key: SampleKey) -> Item:
        with seeded(key.seed):
            model_input, truth = self._items[key.index]
            image, mask = self._augment(tv_tensors.Image(model_input.permute(2, 0, 1)), tv_tensors.Mask(truth[None]))
            if self._recipe.rotate_90:
                turns = int(torch.randint(4, (1,)))
                image, mask = torch.rot90(image, turns, (1, 2)), torch.rot90(mask, turns, (1, 2))
        return image.permute(1, 2, 0).contiguous(), mask[0].contiguous()
