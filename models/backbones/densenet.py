"""DenseNet-121: every layer sees all before it.

It introduced dense connection: inside a block each layer reads the concatenation of all earlier maps and adds a few of
its own, so features are reused instead of learnt again, and gradients reach every layer directly. Huang, Liu, van der
Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017, https://arxiv.org/abs/1608.06993.
"""

import re
from collections import OrderedDict

from torch import nn
from torchvision.models import DenseNet121_Weights, densenet121

from foveal.models.backbones.base import BackboneSpec, StateDict, features_of
from foveal.models.backbones.weights import from_torchvision


def _backbone(network: nn.Module) -> nn.Sequential:
    """The features with the ReLU that torchvision applies outside of them."""
    return nn.Sequential(OrderedDict([*features_of(network).named_children(), ("relu", nn.ReLU())]))


def _imagenet() -> StateDict:
    """The published weights; the file is older than Python's rule that module names hold no dots."""
    published = from_torchvision(DenseNet121_Weights.IMAGENET1K_V1)()
    return {_OLD_NAME.sub(r"\1\2", key): value for key, value in published.items()}


_OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$")

DENSENET121 = BackboneSpec(
    name="densenet121",
    summary="7.0 M parameters, 2.8 GMAC at 224 px; few parameters, many memory accesses",
    build=densenet121,
    backbone=_backbone,
    head="classifier.",
    out_channels=1024,
    imagenet=_imagenet,
    licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
    taps={
        "c2": ("denseblock1", 256),
        "c3": ("denseblock2", 512),
        "c4": ("denseblock3", 1024),
        "c5": ("relu", 1024),
    },
)
