"""VGG-11 and VGG-16: depth by small filters.

It introduced the uniform stack: nothing but 3x3 convolutions and 2x2 pooling, channels doubling as sides halve; two
3x3 filters see what one 5x5 sees, with fewer parameters and one more ReLU. Simonyan, Zisserman, "Very Deep
Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, https://arxiv.org/abs/1409.1556. These are
torchvision's with BatchNorm, which came later and without which they hardly train from random weights. The fully
connected layers, nine tenths of the parameters, are the head and are left out here.
"""

from torchvision.models import VGG11_BN_Weights, VGG16_BN_Weights, vgg11_bn, vgg16_bn

from foveal.models.backbones.published import published

VGG11_BN = published(
    vgg11_bn,
    VGG11_BN_Weights.IMAGENET1K_V1,
    "9.2 M parameters, 7.5 GMAC at 224 px",
    out_channels=512,
    taps={"c2": ("7", 128), "c3": ("14", 256), "c4": ("21", 512), "c5": ("28", 512)},
)
VGG16_BN = published(
    vgg16_bn,
    VGG16_BN_Weights.IMAGENET1K_V1,
    "14.7 M parameters, 15.4 GMAC at 224 px; slow, a yardstick of its time",
    out_channels=512,
    taps={"c2": ("13", 128), "c3": ("23", 256), "c4": ("33", 512), "c5": ("43", 512)},
)
