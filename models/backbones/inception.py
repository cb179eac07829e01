"""GoogLeNet and Inception v3: several filter sizes side by side.

GoogLeNet introduced the inception module: 1x1, 3x3 and 5x5 convolutions and a pooling look at the same map and their
answers are concatenated, 1x1 convolutions first make it thin and so cheap; 22 layers with a twelfth of AlexNet's
parameters, and global average pooling at the top. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015,
https://arxiv.org/abs/1409.4842. Inception v3 factors the filters further (5x5 into two 3x3, 7x7 into 1x7 and 7x1) and
brought label smoothing. Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer
Vision", CVPR 2016, https://arxiv.org/abs/1512.00567. The auxiliary classifiers are left out, being heads too; the
published weights expect images normalised to [-1, 1], which is what `mean` and `std` say.
"""

from collections import OrderedDict
from functools import partial

from torch import nn
from torchvision.models import GoogLeNet_Weights, Inception_V3_Weights, googlenet, inception_v3

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.weights import from_torchvision

_HEADS = ("aux1", "aux2", "AuxLogits", "avgpool", "dropout", "fc")
_HEAD_KEYS = ("aux1.", "aux2.", "AuxLogits.", "fc.")
_HALF = (0.5, 0.5, 0.5)


def _backbone(network: nn.Module) -> nn.Sequential:
    """Everything before the average pooling, under torchvision's own names."""
    return nn.Sequential(OrderedDict((n, m) for n, m in network.named_children() if n not in _HEADS))


GOOGLENET = BackboneSpec(
    name="googlenet",
    summary="5.6 M parameters, 1.5 GMAC at 224 px",
    build=partial(googlenet, init_weights=True),
    backbone=_backbone,
    head=_HEAD_KEYS,
    out_channels=1024,
    imagenet=from_torchvision(GoogLeNet_Weights.IMAGENET1K_V1),
    licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
    taps={
        "c2": ("conv3", 192),
        "c3": ("inception3b", 480),
        "c4": ("inception4e", 832),
        "c5": ("inception5b", 1024),
    },
    mean=_HALF,
    std=_HALF,
)
INCEPTION_V3 = BackboneSpec(
    name="inception_v3",
    summary="21.8 M parameters, 5.7 GMAC at 299 px; from 75 px on, unpadded borders",
    build=partial(inception_v3, init_weights=True),
    backbone=_backbone,
    head=_HEAD_KEYS,
    out_channels=2048,
    imagenet=from_torchvision(Inception_V3_Weights.IMAGENET1K_V1),
    licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
    taps=None,
    mean=_HALF,
    std=_HALF,
    smallest_px=75,
)
