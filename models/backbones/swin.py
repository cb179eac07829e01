"""Swin Transformer V2: attention within windows that shift from layer to layer.

Attention among all patches costs the square of their number; windows of 8 x 8 cost a multiple of it, and shifting
them by half lets neighbours meet. Merging patches gives the four strides that detectors and segmenters need. V2
bounds attention by cosines and writes positions as continuous offsets, so that other sizes of image work. Liu et al.,
"Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022, https://arxiv.org/abs/2111.09883.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models import Swin_V2_S_Weights, Swin_V2_T_Weights, WeightsEnum, swin_v2_s, swin_v2_t

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.published import published, taps


class ChannelsFirst(nn.Module):
    """A layer of Swin, which keeps channels last, between maps (N, C, H, W)."""

    def __init__(self, inner: nn.Module, *, first: bool = False) -> None:
        super().__init__()
        self.inner, self.first = inner, first

    def forward(self, images: Tensor) -> Tensor:
        """The first layer takes (N, 3, H, W) as it is."""
        maps: Tensor = self.inner(images if self.first else images.permute(0, 2, 3, 1))
        return maps.permute(0, 3, 1, 2)


def _backbone(network: nn.Module) -> nn.Sequential:
    """Patches, the four stages with the merging between them, and the last norm."""
    features, norm = network.features, network.norm
    assert isinstance(features, nn.Sequential)
    assert isinstance(norm, nn.Module)
    layers = [(name, ChannelsFirst(child, first=name == "0")) for name, child in features.named_children()]
    return nn.Sequential(OrderedDict([*layers, ("norm", ChannelsFirst(norm))]))


def _spec(build: Callable[[], nn.Module], weights: WeightsEnum, summary: str) -> BackboneSpec:
    levels = taps(("1", "3", "5", "norm"), (96, 192, 384, 768))
    return published(build, weights, summary, out_channels=768, taps=levels, backbone=_backbone, head="head.")


SWIN_V2_T = _spec(swin_v2_t, Swin_V2_T_Weights.DEFAULT, "28.4 M parameters, 5.9 GMAC at 256 px")
SWIN_V2_S = _spec(swin_v2_s, Swin_V2_S_Weights.DEFAULT, "49.7 M parameters, 11.5 GMAC at 256 px")
