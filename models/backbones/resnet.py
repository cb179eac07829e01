"""ResNet-18, -34, -50: residual learning.

It introduced the shortcut: a block adds what it learns to its input, so that an identity is the easy case and gradients
reach the first layers of networks of any depth; deeper then means better, which plain stacks did not reach. ResNet-50
uses bottlenecks (1x1 narrows, 3x3 filters, 1x1 widens). He, Zhang, Ren, Sun, "Deep Residual Learning for Image
Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from torch import nn
from torchvision.models import (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    WeightsEnum,
    resnet18,
    resnet34,
    resnet50,
)

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.weights import from_torchvision

_BASIC = {"c2": ("layer1", 64), "c3": ("layer2", 128), "c4": ("layer3", 256), "c5": ("layer4", 512)}
_BOTTLENECK = {"c2": ("layer1", 256), "c3": ("layer2", 512), "c4": ("layer3", 1024), "c5": ("layer4", 2048)}


def _backbone(network: nn.Module) -> nn.Sequential:
    """Everything before the average pooling, under torchvision's own names."""
    return nn.Sequential(OrderedDict((n, m) for n, m in network.named_children() if n not in ("avgpool", "fc")))


def _spec(
    name: str, summary: str, build: Callable[[], nn.Module], weights: WeightsEnum, taps: Mapping[str, tuple[str, int]]
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        summary=summary,
        build=build,
        backbone=_backbone,
        head="fc.",
        out_channels=taps["c5"][1],
        imagenet=from_torchvision(weights),
        licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
        taps=taps,
    )


RESNET18 = _spec(
    "resnet18", "11.7 M parameters, 1.8 GMAC at 224 px; quantises well", resnet18, ResNet18_Weights.DEFAULT, _BASIC
)
RESNET34 = _spec("resnet34", "21.8 M parameters, 3.7 GMAC at 224 px", resnet34, ResNet34_Weights.DEFAULT, _BASIC)
RESNET50 = _spec(
    "resnet50",
    "25.6 M parameters, 4.1 GMAC at 224 px; the usual yardstick",
    resnet50,
    ResNet50_Weights.IMAGENET1K_V2,
    _BOTTLENECK,
)
