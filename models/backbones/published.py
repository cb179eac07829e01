"""Entries of torchvision's networks (`published`): what all of them have in common, so that an entry is one line."""

from collections.abc import Callable, Mapping

from torch import nn
from torchvision.models import WeightsEnum

from foveal.models.backbones.base import LEVELS, BackboneSpec, features_of
from foveal.models.backbones.weights import from_torchvision

LICENCE = "BSD-3-Clause (torchvision), trained on ImageNet-1k"


def published(
    build: Callable[[], nn.Module],
    weights: WeightsEnum,
    summary: str,
    *,
    out_channels: int,
    taps: Mapping[str, tuple[str, int]] | None,
    backbone: Callable[[nn.Module], nn.Sequential] = features_of,
    head: str | tuple[str, ...] = "classifier.",
    smallest_px: int = 32,
) -> BackboneSpec:
    """An entry under torchvision's own name, with its weights; arguments are fields of `BackboneSpec`."""
    return BackboneSpec(
        name=build.__name__,
        summary=summary,
        build=build,
        backbone=backbone,
        head=head,
        out_channels=out_channels,
        imagenet=from_torchvision(weights),
        licence=LICENCE,
        taps=taps,
        smallest_px=smallest_px,
    )


def taps(children: tuple[str, str, str, str], channels: tuple[int, int, int, int]) -> dict[str, tuple[str, int]]:
    """Level -> (last child at its stride, channels), from the four of each."""
    return dict(zip(LEVELS, zip(children, channels, strict=True), strict=True))
