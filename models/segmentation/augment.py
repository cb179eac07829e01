"""Canvases and truths of semantic segmentation: as production makes them, and augmented together."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from foveal.image import decode
from foveal.metrics.semantic import IGNORE
from foveal.models.data import Sample
from foveal.models.loading import Draw, derived_seed, seeded
from foveal.models.segmentation.data import LabelMap
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.preprocess import Preprocess

Item = tuple[Tensor, Tensor]  # uint8 (H, W, 3) canvas, uint8 (H, W) truth with IGNORE


class Maps(Dataset[Item]):
    """Canvases and truths in memory: canvases as production makes them, truths warped alike (nearest)."""

    def __init__(self, samples: Sequence[Sample[LabelMap]], preprocess: Preprocess) -> None:
        self._items = [_item(sample, preprocess) for sample in samples]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


def _item(sample: Sample[LabelMap], preprocess: Preprocess) -> Item:
    canvas, frame = preprocess.apply(decode(sample.path.read_bytes(), target_hw=preprocess.decode_target))
    truth = np.full(preprocess.canvas_hw, IGNORE, np.uint8)
    height, width = frame.content_hw
    size = (width, height)
    truth[:height, :width] = cv2.resize(sample.truth.read(), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return torch.from_numpy(canvas), torch.from_numpy(truth)


class AugmentedMaps(Dataset[Item]):
    """The same, augmented by each draw's own seed: picture and truth together."""

    def __init__(self, plain: Sequence[Item] | Maps, recipe: SegmentationRecipe, preprocess: Preprocess) -> None:
        self._plain, self._recipe = plain, recipe
        fill = {tv_tensors.Image: list(preprocess.padding_rgb), tv_tensors.Mask: IGNORE}
        scale, r = (recipe.scale_min, recipe.scale_max), recipe
        steps: list[Any] = [
            v2.ScaleJitter(preprocess.canvas_hw, scale, interpolation=InterpolationMode.BILINEAR, antialias=True),
            v2.RandomCrop(recipe.crop_hw or recipe.canvas_hw, pad_if_needed=True, fill=fill),
        ]
        if recipe.flip:
            steps.append(v2.RandomHorizontalFlip())
        if recipe.brightness or recipe.saturation or recipe.hue:
            steps.append(v2.ColorJitter(r.brightness, r.brightness, r.saturation, r.hue))
        self._augment = v2.Compose(steps)

    def __getitem__(self, draw: Draw) -> Item:
        item = self._augmented(draw)
        if not self._recipe.class_mix:
            return item
        with seeded(derived_seed(draw.seed, 1)):
            if float(torch.rand(1)) >= self._recipe.class_mix:
                return item
            other = Draw(int(torch.randint(len(self._plain), (1,))), derived_seed(draw.seed, 2), draw.epoch)
            return class_mix(item, self._augmented(other))

    def _augmented(self, draw: Draw) -> Item:
        canvas, truth = self._plain[draw.index]
        with seeded(draw.seed):
            picture, mask = self._augment(tv_tensors.Image(canvas.permute(2, 0, 1)), tv_tensors.Mask(truth[None]))
            if self._recipe.rotate_90:
                turns = int(torch.randint(4, (1,)))
                picture, mask = torch.rot90(picture, turns, (1, 2)), torch.rot90(mask, turns, (1, 2))
        return picture.permute(1, 2, 0).contiguous(), mask[0].contiguous()


def class_mix(below: Item, above: Item) -> Item:
    """`below`, and over it half of the classes that `above` shows, drawn from torch's generator, picture and truth.

    A road then runs through other ground than any that was photographed, so that a network on few scenes cannot learn
    the scene instead of the road. Olsson et al., "ClassMix", WACV 2021, https://arxiv.org/abs/2007.07936, here with
    true labels on both sides.
    """
    canvas, truth = above
    shown = torch.unique(truth[truth != IGNORE])
    if not len(shown):
        return below
    chosen = shown[torch.randperm(len(shown))[: max(1, len(shown) // 2)]]
    pasted = torch.isin(truth, chosen)
    return torch.where(pasted[..., None], canvas, below[0]), torch.where(pasted, truth, below[1])
