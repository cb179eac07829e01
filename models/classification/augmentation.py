"""Augmentation of classification: of single model inputs, and batches blended with themselves (mixup, CutMix)."""

from typing import Any

from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from foveal.imaging.preprocess import Preprocess
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.colour import ColourJitterAlongComponents, Colours


def augmentation(recipe: ClassificationRecipe, preprocess: Preprocess, colours: Colours | None = None) -> v2.Transform:
    """Random augmentation of a uint8 (3, H, W) model input; `colours` are for colour_pca."""
    fill = list(preprocess.padding_rgb)
    steps: list[Any] = [v2.Identity()]
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.rotate_deg:
        steps.append(v2.RandomRotation(recipe.rotate_deg, InterpolationMode.BILINEAR, fill=fill))
    if recipe.scale_min < 1:
        steps.append(v2.RandomResizedCrop(preprocess.input_hw, scale=(recipe.scale_min, 1), ratio=(0.8, 1.25)))
    if recipe.brightness or recipe.saturation or recipe.hue:
        steps.append(v2.ColorJitter(recipe.brightness, recipe.brightness, recipe.saturation, recipe.hue))
    if colours is not None:
        steps.append(ColourJitterAlongComponents(colours, recipe.colour_pca))
    if recipe.erase:
        steps.append(v2.RandomErasing(recipe.erase, value=fill))
    return v2.Compose(steps)


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
