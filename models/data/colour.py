"""The colours of a data set: mean, standard deviation, principal components, and AlexNet's augmentation along them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
MAX_COLOURED = 300  # images of a data set whose pixels are counted


@dataclass(frozen=True)
class Colours:
    """Of all pixels together, in [0, 1]."""

    mean: FloatArray  # (3,) RGB
    std: FloatArray  # (3,) RGB
    component_std: FloatArray  # (3,) standard deviation along each principal component, descending
    directions: FloatArray  # (3, 3): column i is the unit vector of component i in RGB, its largest entry positive


def colours_of(model_inputs: Iterable[UInt8Array]) -> Colours:
    """Of (H, W, 3) uint8 images, at least one; one pass, in float64."""
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for model_input in model_inputs:
        pixels = model_input.reshape(-1, 3).astype(np.float64) / 255
        count += len(pixels)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    variances, vectors = np.linalg.eigh(covariance)  # ascending
    largest = vectors[np.abs(vectors).argmax(axis=0), range(3)]
    spread = np.sqrt(np.maximum(variances, 0))
    return Colours(mean, np.sqrt(covariance.diagonal()), spread[::-1], (vectors * np.sign(largest))[:, ::-1])


class ColourJitterAlongComponents(nn.Module):
    """One random colour is added to a whole image, distributed as the data set's colours.

    Krizhevsky, Sutskever, Hinton, NeurIPS 2012, section 4.1: light that changes in brightness and in tint. The paper
    scales by eigenvalues of the covariance; here by their roots, so that `sigma` has the same meaning for any image
    format: the share of the data set's own spread.
    """

    def __init__(self, colours: Colours, sigma: float) -> None:
        super().__init__()
        self._axes = torch.from_numpy(
            colours.directions * colours.component_std * 255 * sigma
        ).float()  # (RGB, component)

    def forward(self, planes: Tensor) -> Tensor:
        """(3, H, W) uint8 -> the same, lighter or darker and tinted."""
        shift = self._axes @ torch.randn(3)
        return (planes + shift[:, None, None]).round().clamp(0, 255).to(torch.uint8)
