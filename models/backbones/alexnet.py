"""AlexNet: deep convolutional networks on photographs.

It introduced the recipe that won ImageNet 2012 by ten points: ReLU instead of saturating units, dropout, augmentation
by crops, mirrors and colour shifts, overlapping max pooling, and training on GPUs. Krizhevsky, Sutskever, Hinton,
"ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012. torchvision's is the one-tower variant
(Krizhevsky, "One weird trick", 2014, https://arxiv.org/abs/1404.5997). Its two fully connected layers of 4096 units,
95 % of the parameters, are the head and are left out here.
"""

from torchvision.models import AlexNet_Weights, alexnet

from foveal.models.backbones.published import published

ALEXNET = published(
    alexnet,
    AlexNet_Weights.IMAGENET1K_V1,
    "2.5 M parameters, 0.66 GMAC at 224 px; from 63 px on, no BatchNorm",
    out_channels=256,
    taps=None,
    smallest_px=63,
)
