"""Initialisation of backbones without weights."""

from collections.abc import Callable

from torch import Tensor, nn

INITS: dict[str, Callable[[Tensor], Tensor]] = {
    # Glorot, Bengio, AISTATS 2010: the variance of activations and of gradients is kept, for symmetric activations
    "xavier": nn.init.xavier_uniform_,
    # He, Zhang, Ren, Sun, ICCV 2015: twice that variance, since a ReLU drops half of it
    "he": lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu"),
}


MOMENTUM = 0.1  # torch's default: a running average over about ten steps


def hasten_statistics(backbone: nn.Module) -> None:
    """Let BatchNorm's running statistics of a backbone without weights follow within tens of steps, in place.

    Some published networks average over a hundred (momentum 0.01: MobileNetV3, EfficientNet-Lite), made for 10^5 steps.
    Over a few hundred, what is left of the starting variance of 1 silences layer after layer in evaluation: the loss
    falls and the val accuracy stays that of guessing (seen: docs/BACKBONES.md).
    """
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d) and module.momentum is not None:
            module.momentum = max(module.momentum, MOMENTUM)


def initialise(backbone: nn.Module, init: str) -> None:
    """Initialise every convolution's and linear layer's weights anew and set their biases to 0, in place.

    Args:
        backbone: the part of the network that would otherwise have come with weights.
        init: "default" (nothing happens) or a key of INITS.
    """
    if init == "default":
        return
    for module in backbone.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            INITS[init](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
