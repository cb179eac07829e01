"""ResNet-18 to -101, ResNeXt-50 and Wide ResNet-50: residual learning.

It introduced the shortcut: a block adds what it learns to its input, so that an identity is the easy case and
gradients reach the first layers of networks of any depth; deeper then means better, which plain stacks did not reach.
ResNet-50 uses bottlenecks (1x1 narrows, 3x3 filters, 1x1 widens). He, Zhang, Ren, Sun, "Deep Residual Learning for
Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385. ResNeXt splits the 3x3 filters into 32 groups: more
paths at the same cost. Xie et al., "Aggregated Residual Transformations", CVPR 2017,
https://arxiv.org/abs/1611.05431. Wide ResNets have twice the filters instead of more layers. Zagoruyko, Komodakis,
BMVC 2016, https://arxiv.org/abs/1605.07146.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from torch import nn
from torchvision.models import (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNeXt50_32X4D_Weights,
    WeightsEnum,
    Wide_ResNet50_2_Weights,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnext50_32x4d,
    wide_resnet50_2,
)

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.published import published

_BASIC = {"c2": ("layer1", 64), "c3": ("layer2", 128), "c4": ("layer3", 256), "c5": ("layer4", 512)}
_BOTTLENECK = {"c2": ("layer1", 256), "c3": ("layer2", 512), "c4": ("layer3", 1024), "c5": ("layer4", 2048)}


def _backbone(network: nn.Module) -> nn.Sequential:
    """Everything before the average pooling, under torchvision's own names."""
    return nn.Sequential(OrderedDict((n, m) for n, m in network.named_children() if n not in ("avgpool", "fc")))


def _spec(
    build: Callable[[], nn.Module],
    weights: WeightsEnum,
    summary: str,
    levels: Mapping[str, tuple[str, int]] = _BOTTLENECK,
) -> BackboneSpec:
    channels = levels["c5"][1]
    return published(build, weights, summary, out_channels=channels, taps=levels, backbone=_backbone, head="fc.")


RESNET18 = _spec(resnet18, ResNet18_Weights.DEFAULT, "11.7 M parameters, 1.8 GMAC at 224 px; quantises well", _BASIC)
RESNET34 = _spec(resnet34, ResNet34_Weights.DEFAULT, "21.8 M parameters, 3.7 GMAC at 224 px", _BASIC)
RESNET50 = _spec(resnet50, ResNet50_Weights.IMAGENET1K_V2, "25.6 M parameters, 4.1 GMAC at 224 px; the usual yardstick")
RESNET101 = _spec(resnet101, ResNet101_Weights.IMAGENET1K_V2, "44.5 M parameters, 7.8 GMAC at 224 px")
RESNEXT50_32X4D = _spec(resnext50_32x4d, ResNeXt50_32X4D_Weights.IMAGENET1K_V2, "25.0 M parameters, 4.2 GMAC at 224 px")
WIDE_RESNET50_2 = _spec(
    wide_resnet50_2, Wide_ResNet50_2_Weights.IMAGENET1K_V2, "68.9 M parameters, 11.4 GMAC at 224 px"
)
