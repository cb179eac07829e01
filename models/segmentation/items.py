"""Samples as model inputs with class maps: augmented for training, as in production for evaluation."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess
from foveal.metrics.semantic import IGNORE
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.segmentation.layouts import LabelMap
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


class AugmentedMaps(Dataset[Item]):
    """The same, augmented, image and truth alike; an item is a function of its key."""

    def __init__(self, maps: Maps, recipe: SegmentationRecipe, preprocess: Preprocess) -> None:
        self._maps, self._recipe = maps, recipe
        fill = {tv_tensors.Image: list(preprocess.padding_rgb), tv_tensors.Mask: IGNORE}
        scale, r = (recipe.scale_min, recipe.scale_max), recipe
        steps: list[Any] = [
            v2.ScaleJitter(preprocess.input_hw, scale, interpolation=InterpolationMode.BILINEAR, antialias=True),
            v2.RandomCrop(recipe.crop_hw or recipe.input_hw, pad_if_needed=True, fill=fill),
        ]
        if recipe.flip:
            steps.append(v2.RandomHorizontalFlip())
        if recipe.brightness or recipe.saturation or recipe.hue:
            steps.append(v2.ColorJitter(r.brightness, r.brightness, r.saturation, r.hue))
        self._augment = v2.Compose(steps)

    def __getitem__(self, key: SampleKey) -> Item:
        model_input, truth = self._maps[key.index]
        with seeded(key.seed):
            image, mask = self._augment(tv_tensors.Image(model_input.permute(2, 0, 1)), tv_tensors.Mask(truth[None]))
            if self._recipe.rotate_90:
                turns = int(torch.randint(4, (1,)))
                image, mask = torch.rot90(image, turns, (1, 2)), torch.rot90(mask, turns, (1, 2))
        return image.permute(1, 2, 0).contiguous(), mask[0].contiguous()
