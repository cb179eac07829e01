"""ViT-B: a transformer on patches, with next to nothing that knows of images.

An image becomes 16 x 16 or 32 x 32 px words with learnt positions, and a class token gathers the answer by attention
from all of them. Little is built in, so it wants much data or good weights. Dosovitskiy et al., "An Image is Worth
16x16 Words", ICLR 2021, https://arxiv.org/abs/2010.11929. Positions are interpolated for model inputs of other sizes
than 224 px, as in its section 3.2.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import VisionTransformer, ViT_B_16_Weights, ViT_B_32_Weights, WeightsEnum, vit_b_16, vit_b_32

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.published import published


class ClassToken(nn.Module):
    """(N, 3, H, W) -> (N, C, 1, 1): the class token behind the last norm."""

    def __init__(self, network: VisionTransformer) -> None:
        super().__init__()
        self.conv_proj, self.class_token, self.encoder = network.conv_proj, network.class_token, network.encoder
        self.grid = network.image_size // network.patch_size

    def forward(self, images: Tensor) -> Tensor:
        """Sides are at least one patch; what does not fill one is left out."""
        patches = self.conv_proj(images)  # (N, C, h, w)
        tokens = patches.flatten(2).transpose(1, 2)
        token = self.class_token.expand(images.shape[0], -1, -1)
        words = torch.cat([token, tokens], dim=1) + self._positions(patches.shape[2], patches.shape[3])
        seen: Tensor = self.encoder.ln(self.encoder.layers(self.encoder.dropout(words)))
        return seen[:, 0, :, None, None]

    def _positions(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows x columns, C): those of the weights, or interpolated from their grid."""
        known: Tensor = self.encoder.pos_embedding
        if (rows, columns) == (self.grid, self.grid):
            return known
        grid = known[:, 1:].transpose(1, 2).reshape(1, -1, self.grid, self.grid)
        grid = functional.interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([known[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def _backbone(network: nn.Module) -> nn.Sequential:
    assert isinstance(network, VisionTransformer)
    return nn.Sequential(OrderedDict(tokens=ClassToken(network)))


def _spec(build: Callable[[], nn.Module], weights: WeightsEnum, summary: str) -> BackboneSpec:
    return published(build, weights, summary, out_channels=768, taps=None, backbone=_backbone, head="heads.")


VIT_B_16 = _spec(vit_b_16, ViT_B_16_Weights.IMAGENET1K_V1, "86.6 M parameters, 17.6 GMAC at 224 px")
VIT_B_32 = _spec(vit_b_32, ViT_B_32_Weights.IMAGENET1K_V1, "88.2 M parameters, 4.4 GMAC at 224 px")
