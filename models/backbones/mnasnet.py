"""MNASNet: a network found by search for accuracy and measured latency together.

The search rewarded latency on a real phone instead of counts of operations, and let each stage have a block of its
own; MobileNetV3 and EfficientNet-B0 grew from it. Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le, "MnasNet:
Platform-Aware Neural Architecture Search for Mobile", CVPR 2019, https://arxiv.org/abs/1807.11626.
"""

from torch import nn
from torchvision.models import MNASNet0_5_Weights, MNASNet1_0_Weights, mnasnet0_5, mnasnet1_0

from foveal.models.backbones.published import published, taps

_STAGES = ("8", "9", "11", "16")


def _backbone(network: nn.Module) -> nn.Sequential:
    layers = network.layers
    assert isinstance(layers, nn.Sequential)
    return layers


MNASNET0_5 = published(
    mnasnet0_5,
    MNASNet0_5_Weights.DEFAULT,
    "2.2 M parameters, 0.1 GMAC at 224 px",
    out_channels=1280,
    taps=taps(_STAGES, (16, 24, 48, 1280)),
    backbone=_backbone,
)
MNASNET1_0 = published(
    mnasnet1_0,
    MNASNet1_0_Weights.DEFAULT,
    "4.4 M parameters, 0.3 GMAC at 224 px",
    out_channels=1280,
    taps=taps(_STAGES, (24, 40, 96, 1280)),
    backbone=_backbone,
)
