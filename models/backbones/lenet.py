"""LeNet-5, as published and with today's layers.

It introduced the convolutional network as it still is: learned local filters shared over all places, subsampling
between them, and ever more, ever smaller maps, trained end to end from pixels. LeCun, Bottou, Bengio, Haffner,
"Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE 86(11), 1998,
https://doi.org/10.1109/5.726791. Here C1 to F6 are the backbone: on a 32 x 32 model input C5 and F6 see one place, as
in the paper, on a larger one they are convolutions and their answers are averaged. As courses print it: logistic
sigmoids and average pooling. The paper has a scaled tanh, pooling with a learned factor and bias, not all of S2
connected to all of C3, and distances to drawn digits as output. The modern variant has ReLU, BatchNorm and max pooling.
"""

from collections import OrderedDict

from torch import nn

from foveal.models.backbones.base import BackboneSpec, features_of
from foveal.models.backbones.weights import unpublished

_LAYERS = (("c1", 3, 6, 5, True), ("c3", 6, 16, 5, True), ("c5", 16, 120, 5, False), ("f6", 120, 84, 1, False))


class LeNet5(nn.Module):
    """The backbone as `features`: (N, 3, H, W) -> (N, 84, h, w), one place for 32 px, one more for every 4 px."""

    def __init__(self, *, modern: bool) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for name, inputs, outputs, kernel, pooled in _LAYERS:
            layers[name] = nn.Conv2d(inputs, outputs, kernel, bias=not modern)
            if modern:
                layers[f"{name}_norm"] = nn.BatchNorm2d(outputs)
            layers[f"{name}_activation"] = nn.ReLU() if modern else nn.Sigmoid()
            if pooled:
                layers[f"{name}_pool"] = nn.MaxPool2d(2) if modern else nn.AvgPool2d(2)
        self.features = nn.Sequential(layers)


def _spec(name: str, summary: str, *, modern: bool) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        summary=summary,
        build=lambda: LeNet5(modern=modern),
        backbone=features_of,
        head=(),
        out_channels=84,
        imagenet=unpublished(name),
        licence="none: there are no published weights",
        taps=None,
    )


LENET5 = _spec("lenet5", "61 k parameters; sigmoid and average pooling, for 32 px and history", modern=False)
LENET5_MODERN = _spec("lenet5_modern", "61 k parameters; ReLU, BatchNorm, max pooling: trains in seconds", modern=True)
