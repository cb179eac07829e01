"""MobileNetV2 and V3: inverted residuals with linear bottlenecks.

V2 introduced the block that most small networks still use: a cheap 1x1 convolution widens a thin tensor, a 3x3
depthwise convolution filters each channel on its own, and a 1x1 convolution without an activation narrows it again;
the shortcut joins the thin ends. The last layer is linear because a ReLU destroys information in few dimensions.
ReLU6 bounds activations for low-precision arithmetic. Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted
Residuals and Linear Bottlenecks", CVPR 2018, https://arxiv.org/abs/1801.04381. V3 was found by search for
phones' latency: squeeze-and-excitation in the block, hard-swish (a swish of straight lines), a cheaper stem and top.
Howard et al., "Searching for MobileNetV3", ICCV 2019, https://arxiv.org/abs/1905.02244. It quantises badly.
"""

from torchvision.models import (
    MobileNet_V2_Weights,
    MobileNet_V3_Large_Weights,
    MobileNet_V3_Small_Weights,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)

from foveal.models.backbones.published import published

MOBILENET_V2 = published(
    mobilenet_v2,
    MobileNet_V2_Weights.IMAGENET1K_V2,
    "3.5 M parameters, 0.3 GMAC at 224 px; small and accurate, the default",
    out_channels=1280,
    taps={"c2": ("3", 24), "c3": ("6", 32), "c4": ("13", 96), "c5": ("18", 1280)},
)
MOBILENET_V3_LARGE = published(
    mobilenet_v3_large,
    MobileNet_V3_Large_Weights.IMAGENET1K_V2,
    "3.0 M parameters, 0.22 GMAC at 224 px",
    out_channels=960,
    taps={"c2": ("3", 24), "c3": ("6", 40), "c4": ("12", 112), "c5": ("16", 960)},
)
MOBILENET_V3_SMALL = published(
    mobilenet_v3_small,
    MobileNet_V3_Small_Weights.IMAGENET1K_V1,
    "0.9 M parameters, 0.06 GMAC at 224 px; the fastest",
    out_channels=576,
    taps={"c2": ("1", 16), "c3": ("3", 24), "c4": ("8", 48), "c5": ("12", 576)},
)
