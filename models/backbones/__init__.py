"""Backbones by name (`BACKBONES`); one line an entry."""

from foveal.errors import BadRecipe, UnknownName
from foveal.models.backbones.alexnet import ALEXNET
from foveal.models.backbones.base import LEVELS, BackboneSpec, Features, MultiScale
from foveal.models.backbones.convnext import CONVNEXT_BASE, CONVNEXT_SMALL, CONVNEXT_TINY
from foveal.models.backbones.densenet import DENSENET121
from foveal.models.backbones.efficientnet import (
    EFFICIENTNET_B0,
    EFFICIENTNET_LITE0,
    EFFICIENTNET_LITE1,
    EFFICIENTNET_LITE2,
    EFFICIENTNET_V2_M,
    EFFICIENTNET_V2_S,
)
from foveal.models.backbones.inception import GOOGLENET, INCEPTION_V3
from foveal.models.backbones.lenet import LENET5, LENET5_MODERN
from foveal.models.backbones.mnasnet import MNASNET0_5, MNASNET1_0
from foveal.models.backbones.mobilenet import MOBILENET_V2, MOBILENET_V3_LARGE, MOBILENET_V3_SMALL
from foveal.models.backbones.nin import NIN
from foveal.models.backbones.regnet import REGNET_Y_1_6GF, REGNET_Y_3_2GF, REGNET_Y_8GF, REGNET_Y_400MF, REGNET_Y_800MF
from foveal.models.backbones.resnet import RESNET18, RESNET34, RESNET50, RESNET101, RESNEXT50_32X4D, WIDE_RESNET50_2
from foveal.models.backbones.shufflenet import SHUFFLENET_V2_X0_5, SHUFFLENET_V2_X1_0, SHUFFLENET_V2_X2_0
from foveal.models.backbones.squeezenet import SQUEEZENET1_1
from foveal.models.backbones.swin import SWIN_V2_S, SWIN_V2_T
from foveal.models.backbones.vgg import VGG11_BN, VGG16_BN
from foveal.models.backbones.vit import VIT_B_16, VIT_B_32
from foveal.models.backbones.weights import load_weights

BACKBONES: dict[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        ALEXNET,
        CONVNEXT_BASE,
        CONVNEXT_SMALL,
        CONVNEXT_TINY,
        DENSENET121,
        EFFICIENTNET_B0,
        EFFICIENTNET_LITE0,
        EFFICIENTNET_LITE1,
        EFFICIENTNET_LITE2,
        EFFICIENTNET_V2_M,
        EFFICIENTNET_V2_S,
        GOOGLENET,
        INCEPTION_V3,
        LENET5,
        LENET5_MODERN,
        MNASNET0_5,
        MNASNET1_0,
        MOBILENET_V2,
        MOBILENET_V3_LARGE,
        MOBILENET_V3_SMALL,
        NIN,
        REGNET_Y_1_6GF,
        REGNET_Y_3_2GF,
        REGNET_Y_400MF,
        REGNET_Y_800MF,
        REGNET_Y_8GF,
        RESNET101,
        RESNET18,
        RESNET34,
        RESNET50,
        RESNEXT50_32X4D,
        SHUFFLENET_V2_X0_5,
        SHUFFLENET_V2_X1_0,
        SHUFFLENET_V2_X2_0,
        SQUEEZENET1_1,
        SWIN_V2_S,
        SWIN_V2_T,
        VGG11_BN,
        VGG16_BN,
        VIT_B_16,
        VIT_B_32,
        WIDE_RESNET50_2,
    )
}

__all__ = ["BACKBONES", "LEVELS", "BackboneSpec", "Features", "MultiScale", "backbone", "load_features", "multi_scale"]


def backbone(name: str) -> BackboneSpec:
    """The registered backbone.

    Raises:
        UnknownName: no backbone of that name; the choices are listed.
    """
    if name not in BACKBONES:
        raise UnknownName.among("backbone", name, BACKBONES)
    return BACKBONES[name]


def load_features(name: str, weights: str) -> Features:
    """The backbone: steps one and two of fine-tuning, the source model and all of it but the head.

    Args:
        name: a key of BACKBONES.
        weights: "none", "imagenet" or the path of a state_dict file.

    Returns:
        A module: normalised (N, 3, H, W) float32 -> (N, out_channels, H / 32, W / 32).

    Raises:
        UnknownName: unknown backbone. BadCheckpoint: weights that cannot be had or do not fit.
    """
    spec = backbone(name)
    network = spec.build()
    load_weights(network, spec, weights)
    return Features(spec.backbone(network), spec.out_channels)


def multi_scale(name: str, weights: str) -> MultiScale:
    """The backbone with maps at strides 4, 8, 16 and 32, for pyramids. Arguments and errors as `load_features`.

    Raises:
        BadRecipe: this backbone has no stride 32.
    """
    spec = backbone(name)
    if spec.taps is None:
        fit = ", ".join(sorted(n for n, s in BACKBONES.items() if s.taps))
        raise BadRecipe(f"backbone {name!r} has no maps at strides 4, 8, 16 and 32; choices: {fit}")
    network = spec.build()
    load_weights(network, spec, weights)
    return MultiScale(spec.backbone(network), spec.taps)
