"""Augmentation of classification: random parts of images, changes of colour, and batches blended with themselves."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from foveal.imaging.preprocess import Preprocess
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.colour import ColourJitterAlongComponents, Colours
from foveal.models.data.dataset import Sample
from foveal.models.data.model_inputs import UInt8Array
from foveal.models.data.source_images import SampleCache, source_image
from foveal.models.data.warping import RandomWarp, production_matrix, somewhere, uniform, warp_image

MOST_ASPECT_CHANGE = 1.25  # of a random part, either way

POLICIES: dict[str, Any] = {
    "trivial-augment": v2.TrivialAugmentWide,
    "rand-augment": v2.RandAugment,
    "aug-mix": v2.AugMix,
}


def augmentation(recipe: ClassificationRecipe, preprocess: Preprocess, colours: Colours | None = None) -> v2.Transform:
    """Random augmentation of a uint8 (3, H, W) model input; `colours` are for colour_pca."""
    fill = list(preprocess.padding_rgb)
    steps: list[Any] = [v2.Identity()]
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.policy != "none":
        steps.append(POLICIES[recipe.policy](interpolation=InterpolationMode.BILINEAR, fill=fill))
    if recipe.brightness or recipe.saturation or recipe.hue:
        steps.append(v2.ColorJitter(recipe.brightness, recipe.brightness, recipe.saturation, recipe.hue))
    if colours is not None:
        steps.append(ColourJitterAlongComponents(colours, recipe.colour_pca))
    if recipe.erase:
        steps.append(v2.RandomErasing(recipe.erase, value=fill))
    return v2.Compose(steps)


def warp_of(recipe: ClassificationRecipe) -> RandomWarp | None:
    """The recipe's random geometry; None: training shows what production shows."""
    warp = RandomWarp(recipe.rotate_deg, recipe.shear_deg, recipe.perspective)
    return None if warp.is_off and recipe.scale_min == 1 else warp


class RandomParts:
    """Model inputs that show random parts of the samples' images, each resampled once from the decoded image.

    A part has `scale_min` to 1 of the area of the largest window of the model input's shape, which for center_crop
    reaches further out than production's; random resized crops as of Szegedy et al., CVPR 2015.
    """

    def __init__(self, samples: Sequence[Sample[int]], preprocess: Preprocess, recipe: ClassificationRecipe) -> None:
        self._preprocess, self._scale_min = preprocess, recipe.scale_min
        self._warp = warp_of(recipe) or RandomWarp()
        zoom = 1 / math.sqrt(recipe.scale_min)
        self._sources = SampleCache(samples, partial(source_image, preprocess=preprocess, zoom=zoom))

    def __getitem__(self, index: int) -> UInt8Array:
        source, input_hw = self._sources[index], self._preprocess.input_hw
        window = self._window(self._preprocess.resized_hw(source.image_hw))
        matrix = self._warp.draw(window, input_hw)
        matrix = matrix @ production_matrix(self._preprocess, source.image_hw, source.rgb.shape[:2])
        return warp_image(source.rgb, matrix, input_hw, self._preprocess.padding_rgb)

    def _window(self, extent_hw: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, top, width and height in pixels of the resized image."""
        height, width = self._preprocess.input_hw
        largest = max(1.0, min(extent_hw[0] / height, extent_hw[1] / width))  # letterbox: with its padding
        side = largest * math.sqrt(uniform(self._scale_min, 1))
        stretched = MOST_ASPECT_CHANGE ** uniform(-0.5, 0.5)
        window_h = min(height * side / stretched, height * largest)
        window_w = min(width * side * stretched, width * largest)
        return somewhere(extent_hw[1], window_w), somewhere(extent_hw[0], window_h), window_w, window_h


def blend(model_inputs: Tensor, truths: Tensor, recipe: ClassificationRecipe, *, classes: int) -> tuple[Tensor, Tensor]:
    """The batch mixed with itself, by torchvision, as the recipe says.

    Args:
        model_inputs: (N, H, W, 3) uint8.
        truths: (N,) int64.
        recipe: mixup and cutmix; with neither, the batch comes back as it is.
        classes: how many there are.

    Returns:
        (N, H, W, 3) float32 in [0, 255] and (N, classes) float32 shares that sum to 1.
    """
    choices = ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
    ways = [way(alpha=alpha, num_classes=classes) for way, alpha in choices if alpha]
    if not ways:
        return model_inputs, truths
    planes, shares = v2.RandomChoice(ways)(model_inputs.permute(0, 3, 1, 2).float(), truths)
    return planes.permute(0, 2, 3, 1), shares
