"""ShuffleNetV2: what counts is memory traffic, not multiplications.

Half of the channels pass each block untouched, the other half is filtered, and a shuffle mixes both; equal widths and
few branches keep memory busy as little as can be. Ma, Zhang, Zheng, Sun, "ShuffleNet V2: Practical Guidelines for
Efficient CNN Architecture Design", ECCV 2018, https://arxiv.org/abs/1807.11164.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import nn
from torchvision.models import (
    ShuffleNet_V2_X0_5_Weights,
    ShuffleNet_V2_X1_0_Weights,
    ShuffleNet_V2_X2_0_Weights,
    WeightsEnum,
    shufflenet_v2_x0_5,
    shufflenet_v2_x1_0,
    shufflenet_v2_x2_0,
)

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.published import published, taps


def _backbone(network: nn.Module) -> nn.Sequential:
    """Everything before the average pooling."""
    return nn.Sequential(OrderedDict((name, child) for name, child in network.named_children() if name != "fc"))


def _spec(
    build: Callable[[], nn.Module], weights: WeightsEnum, summary: str, widths: tuple[int, int, int, int]
) -> BackboneSpec:
    levels = taps(("maxpool", "stage2", "stage3", "conv5"), widths)
    return published(build, weights, summary, out_channels=widths[-1], taps=levels, backbone=_backbone, head="fc.")


SHUFFLENET_V2_X0_5 = _spec(
    shufflenet_v2_x0_5,
    ShuffleNet_V2_X0_5_Weights.DEFAULT,
    "1.4 M parameters, 0.04 GMAC at 224 px; the least work of all",
    (24, 48, 96, 1024),
)
SHUFFLENET_V2_X1_0 = _spec(
    shufflenet_v2_x1_0,
    ShuffleNet_V2_X1_0_Weights.DEFAULT,
    "2.3 M parameters, 0.15 GMAC at 224 px",
    (24, 116, 232, 1024),
)
SHUFFLENET_V2_X2_0 = _spec(
    shufflenet_v2_x2_0,
    ShuffleNet_V2_X2_0_Weights.DEFAULT,
    "7.4 M parameters, 0.6 GMAC at 224 px",
    (24, 244, 488, 2048),
)
