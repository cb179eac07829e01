"""ConvNeXt: a convolutional network with the design of a vision transformer.

It showed that what transformers had gained was mostly design: patches for a stem, depthwise 7x7 convolutions in place
of attention, an inverted bottleneck with one GELU, LayerNorm instead of BatchNorm, fewer activations. Nothing in it
depends on the batch, so fine-tuning on small batches keeps what was learnt. Liu, Mao, Wu, Feichtenhofer, Darrell,
Xie, "A ConvNet for the 2020s", CVPR 2022, https://arxiv.org/abs/2201.03545.
"""

from torchvision.models import (
    ConvNeXt_Base_Weights,
    ConvNeXt_Small_Weights,
    ConvNeXt_Tiny_Weights,
    convnext_base,
    convnext_small,
    convnext_tiny,
)

from foveal.models.backbones.published import published, taps

_STAGES = ("1", "3", "5", "7")

CONVNEXT_TINY = published(
    convnext_tiny,
    ConvNeXt_Tiny_Weights.DEFAULT,
    "28.6 M parameters, 4.5 GMAC at 224 px; the size of ResNet-50, clearly better",
    out_channels=768,
    taps=taps(_STAGES, (96, 192, 384, 768)),
)
CONVNEXT_SMALL = published(
    convnext_small,
    ConvNeXt_Small_Weights.DEFAULT,
    "50.2 M parameters, 8.7 GMAC at 224 px",
    out_channels=768,
    taps=taps(_STAGES, (96, 192, 384, 768)),
)
CONVNEXT_BASE = published(
    convnext_base,
    ConvNeXt_Base_Weights.DEFAULT,
    "88.6 M parameters, 15.4 GMAC at 224 px",
    out_channels=1024,
    taps=taps(_STAGES, (128, 256, 512, 1024)),
)
