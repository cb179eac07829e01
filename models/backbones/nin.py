"""NiN, network in network.

It introduced the 1x1 convolution, a small perceptron slid over all places between the larger filters, and global
average pooling instead of fully connected layers: each class has a map whose mean is its score, so that there is
nothing left to overfit at the top. Lin, Chen, Yan, "Network In Network", ICLR 2014, https://arxiv.org/abs/1312.4400.
The layers are those of the paper's CIFAR-10 network (192 filters, dropout of a half between blocks). Our head, the mean
of the maps and a linear layer, is its last 1x1 convolution and average pooling in the other order, which is the same.
"""

from torch import nn

from foveal.models.backbones.base import BackboneSpec, features_of
from foveal.models.backbones.weights import unpublished


def _block(inputs: int, kernel: int, *widths: int) -> list[nn.Module]:
    """A convolution, then 1x1 convolutions; a ReLU behind each."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        size = kernel if i == 0 else 1
        layers += [nn.Conv2d(inputs, width, size, padding=size // 2), nn.ReLU(inplace=True)]
        inputs = width
    return layers


class NetworkInNetwork(nn.Module):
    """The backbone as `features`: (N, 3, H, W) -> (N, 192, H / 4, W / 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(3, 5, 192, 160, 96),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Dropout(0.5),
            *_block(96, 5, 192, 192, 192),
            nn.AvgPool2d(3, 2, ceil_mode=True),
            nn.Dropout(0.5),
            *_block(192, 3, 192, 192),
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):  # no BatchNorm here: torch's default start dies out in nine layers
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


NIN = BackboneSpec(
    name="nin",
    summary="1.0 M parameters, 0.22 GMAC at 32 px; stride 4, for small model inputs",
    build=NetworkInNetwork,
    backbone=features_of,
    head=(),
    out_channels=192,
    imagenet=unpublished("nin"),
    licence="none: there are no published weights",
    taps=None,
)
