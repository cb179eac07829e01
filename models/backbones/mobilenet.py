"""MobileNetV2: inverted residuals with linear bottlenecks.

It introduced the block that most small networks still use: a cheap 1x1 convolution widens a thin tensor, a 3x3
depthwise convolution filters each channel on its own, and a 1x1 convolution without an activation narrows it again;
the shortcut joins the thin ends. The last layer is linear because a ReLU destroys information in few dimensions.
ReLU6 bounds activations for low-precision arithmetic. Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted
Residuals and Linear Bottlenecks", CVPR 2018, https://arxiv.org/abs/1801.04381.
"""

from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from foveal.models.backbones.base import BackboneSpec, features_of
from foveal.models.backbones.weights import from_torchvision

MOBILENET_V2 = BackboneSpec(
    name="mobilenet_v2",
    summary="3.5 M parameters, 0.3 GMAC at 224 px; small and accurate, the default",
    build=mobilenet_v2,
    trunk=features_of,
    head="classifier.",
    out_channels=1280,
    imagenet=from_torchvision(MobileNet_V2_Weights.IMAGENET1K_V2),
    licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
    taps={"c2": ("3", 24), "c3": ("6", 32), "c4": ("13", 96), "c5": ("18", 1280)},
)
