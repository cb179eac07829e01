"""SqueezeNet 1.1: fire modules.

It introduced the squeeze-then-expand module: a 1x1 convolution squeezes the tensor to few channels, then 1x1 and 3x3
convolutions side by side expand it, so that few parameters see a 3x3 neighbourhood; AlexNet's accuracy came with 50
times fewer parameters. There is no BatchNorm, and pooling stops at stride 16. Version 1.1 needs 2.4 times less
computation than 1.0. Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x
fewer parameters and <0.5MB model size", 2016, https://arxiv.org/abs/1602.07360.
"""

from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from foveal.models.backbones.published import published

SQUEEZENET1_1 = published(
    squeezenet1_1,
    SqueezeNet1_1_Weights.IMAGENET1K_V1,
    "1.2 M parameters, 0.35 GMAC at 224 px; the smallest file, stride 16, no pyramid",
    out_channels=512,
    taps=None,  # strides 4, 8, 16 only, and unpadded borders
)
