"""VGG-11 and VGG-16: depth by small filters.

It introduced the uniform stack: nothing but 3x3 convolutions and 2x2 pooling, channels doubling as sides halve; two
3x3 filters see what one 5x5 sees, with fewer parameters and one more ReLU. Simonyan, Zisserman, "Very Deep
Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, https://arxiv.org/abs/1409.1556. These are
torchvision's with BatchNorm, which came later and without which they hardly train from random weights. The fully
connected layers, nine tenths of the parameters, are the head and are left out here.
"""

from collections.abc import Callable, Mapping

from torch import nn
from torchvision.models import VGG11_BN_Weights, VGG16_BN_Weights, WeightsEnum, vgg11_bn, vgg16_bn

from foveal.models.backbones.base import BackboneSpec, features_of
from foveal.models.backbones.weights import from_torchvision


def _spec(
    name: str, summary: str, build: Callable[[], nn.Module], weights: WeightsEnum, taps: Mapping[str, tuple[str, int]]
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        summary=summary,
        build=build,
        backbone=features_of,
        head="classifier.",
        out_channels=512,
        imagenet=from_torchvision(weights),
        licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
        taps=taps,
    )


VGG11_BN = _spec(
    "vgg11_bn",
    "9.2 M parameters, 7.5 GMAC at 224 px",
    vgg11_bn,
    VGG11_BN_Weights.IMAGENET1K_V1,
    {"c2": ("7", 128), "c3": ("14", 256), "c4": ("21", 512), "c5": ("28", 512)},
)
VGG16_BN = _spec(
    "vgg16_bn",
    "14.7 M parameters, 15.4 GMAC at 224 px; slow, a yardstick of its time",
    vgg16_bn,
    VGG16_BN_Weights.IMAGENET1K_V1,
    {"c2": ("13", 128), "c3": ("23", 256), "c4": ("33", 512), "c5": ("43", 512)},
)
