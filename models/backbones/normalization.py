"""The first layer of every trained network: the uint8 model input becomes normalised floats inside the graph."""

import torch
from torch import Tensor, nn

from foveal.imaging.preprocess import Unit


class Normalize(nn.Module):
    """uint8 (N, H, W, 3) RGB -> float32 (N, 3, H, W): (x / 255 - mean) / std.

    Living inside the network it is exported with it, so that a client can never normalise differently, and a request
    moves a quarter of the bytes.

    Args:
        mean: per channel, RGB in [0, 1].
        std: per channel, RGB in [0, 1], positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Unit, std: Unit) -> None:
        super().__init__()
        # constants, not weights: they come from the recipe and stay out of the state_dict
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise a batch of model inputs."""
        planes = images.permute(0, 3, 1, 2).to(self.mean.dtype)  # (N, 3, H, W); float64 in export/proof/rounding.py
        return (planes / 255.0 - self.mean) / self.std
