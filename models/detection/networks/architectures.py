"""Detectors by name (`ARCHITECTURES`), one entry each; `build` gives a network that reads uint8 model inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator

from foveal.errors import BadRecipe, UnknownName
from foveal.imaging.preprocess import Unit
from foveal.metrics import scoring
from foveal.models.backbones import LEVELS, BackboneSpec, MultiScale, backbone, multi_scale
from foveal.models.backbones.normalization import Normalize
from foveal.models.detection.networks.onestage import OneStageDetector, SSDMaps, retinanet, ssd
from foveal.models.detection.networks.published import PUBLISHED, Published, build_published
from foveal.models.detection.networks.pyramid import Pyramid, freeze_levels
from foveal.models.detection.networks.rcnn import two_stage
from foveal.models.detection.recipe import DetectionRecipe

Build = Callable[[DetectionRecipe, MultiScale, Normalize, AnchorGenerator, int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One registered detector, and what it takes where the recipe leaves it open."""

    name: str
    summary: str
    task: str
    levels: tuple[str, ...]  # of the backbone
    extra_levels: int  # added behind it
    anchor_sizes_px: tuple[float, ...]  # one a level
    anchor_scales: tuple[float, ...]  # factors on each size
    build: Build


def _faster_rcnn(
    recipe: DetectionRecipe, body: MultiScale, normalize: Normalize, anchors: AnchorGenerator, classes: int
) -> nn.Module:
    pyramid = Pyramid(body, levels=levels_of(recipe), out_channels=recipe.pyramid_channels, top="pool")
    return two_stage(recipe, pyramid, normalize, anchors, classes=classes)


def _retinanet(
    recipe: DetectionRecipe, body: MultiScale, normalize: Normalize, anchors: AnchorGenerator, classes: int
) -> nn.Module:
    pyramid = Pyramid(body, levels=levels_of(recipe), out_channels=recipe.pyramid_channels, top="p6p7")
    network = retinanet(pyramid, anchors, classes=classes)
    return OneStageDetector(normalize, network, recipe.input_hw, per_level=True)


def _ssd(
    recipe: DetectionRecipe, body: MultiScale, normalize: Normalize, anchors: AnchorGenerator, classes: int
) -> nn.Module:
    lite = recipe.architecture == "ssdlite"
    network = ssd(
        SSDMaps(body, first=levels_of(recipe)[0], lite=lite), anchors, recipe.input_hw, classes=classes, lite=lite
    )
    return OneStageDetector(normalize, network, recipe.input_hw, per_level=False)


_TWO_STAGE_SIZES = (16.0, 32.0, 64.0, 128.0, 256.0)
_OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))

ARCHITECTURES: dict[str, Architecture] = {
    one.name: one
    for one in (
        Architecture(
            name="fasterrcnn",
            summary="two stages on a pyramid: the most accurate, and slower",
            task="object-detection",
            levels=LEVELS,
            extra_levels=1,
            anchor_sizes_px=_TWO_STAGE_SIZES,
            anchor_scales=(1.0,),
            build=_faster_rcnn,
        ),
        Architecture(
            name="maskrcnn",
            summary="Faster R-CNN with a mask for each object",
            task="instance-segmentation",
            levels=LEVELS,
            extra_levels=1,
            anchor_sizes_px=_TWO_STAGE_SIZES,
            anchor_scales=(1.0,),
            build=_faster_rcnn,
        ),
        Architecture(
            name="retinanet",
            summary="one stage on a pyramid, focal loss",
            task="object-detection",
            levels=LEVELS[1:],
            extra_levels=2,
            anchor_sizes_px=(24.0, 48.0, 96.0, 192.0, 384.0),
            anchor_scales=_OCTAVE,
            build=_retinanet,
        ),
        Architecture(
            name="ssdlite",
            summary="one stage on shrinking maps, depthwise-separable: the fastest",
            task="object-detection",
            levels=LEVELS[2:],
            extra_levels=4,
            anchor_sizes_px=(60.0, 105.0, 150.0, 195.0, 240.0, 285.0),
            anchor_scales=(1.0, 2**0.5),
            build=_ssd,
        ),
        Architecture(
            name="ssd",
            summary="one stage on shrinking maps from stride 8 on, full convolutions",
            task="object-detection",
            levels=LEVELS[1:],
            extra_levels=4,
            anchor_sizes_px=(24.0, 48.0, 96.0, 144.0, 192.0, 240.0, 288.0),
            anchor_scales=(1.0, 2**0.5),
            build=_ssd,
        ),
    )
}


def architecture(recipe: DetectionRecipe) -> Architecture | Published:
    """The recipe's detector.

    Raises:
        UnknownName: no detector of that name; the choices are listed. BadRecipe: it belongs to another task.
    """
    known: dict[str, Architecture | Published] = {**ARCHITECTURES, **PUBLISHED}
    if recipe.architecture not in known:
        raise UnknownName.among("architecture", recipe.architecture, known)
    found = known[recipe.architecture]
    if found.task != recipe.task:
        raise BadRecipe(f"architecture {found.name!r} belongs to {found.task}, got a recipe of {recipe.task}")
    return found


def name_of(recipe: DetectionRecipe) -> str:
    """The network in one word: detector and backbone."""
    spec = architecture(recipe)
    return spec.name if isinstance(spec, Published) else f"{spec.name}-{recipe.backbone}"


def input_statistics(recipe: DetectionRecipe) -> tuple[Unit, Unit]:
    """Mean and standard deviation that the weights were trained with."""
    spec = architecture(recipe)
    source: Published | BackboneSpec = spec if isinstance(spec, Published) else backbone(recipe.backbone)
    return source.mean, source.std


def own(recipe: DetectionRecipe) -> Architecture:
    """The recipe's detector, which is one on the backbone registry.

    Raises:
        BadRecipe: it is one of torchvision's, whose parts are not chosen by a recipe.
    """
    spec = architecture(recipe)
    if isinstance(spec, Published):
        raise BadRecipe(f"{spec.name} has the anchors and levels of its weights; choices: {', '.join(ARCHITECTURES)}")
    return spec


def levels_of(recipe: DetectionRecipe) -> tuple[str, ...]:
    """The backbone's levels that are used."""
    return recipe.pyramid_levels or own(recipe).levels


def anchor_layout(recipe: DetectionRecipe) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Sizes in model-input pixels, one a level; the scales that each is multiplied with; ratios, height / width.

    Raises:
        BadRecipe: not one size a level, or a network whose anchors are fixed.
    """
    spec = own(recipe)
    sizes = recipe.anchor_sizes_px or spec.anchor_sizes_px
    expected = len(levels_of(recipe)) + spec.extra_levels
    if len(sizes) != expected:
        raise BadRecipe(f"anchor_sizes_px: expected {expected} for {spec.name}, one a level, got {len(sizes)}")
    return sizes, recipe.anchor_scales or spec.anchor_scales, recipe.anchor_ratios


def anchors_of(recipe: DetectionRecipe) -> AnchorGenerator:
    """Every level's size times every scale, with every ratio. Raises as `anchor_layout`."""
    sizes, scales, ratios = anchor_layout(recipe)
    per_level = tuple(tuple(size * scale for scale in scales) for size in sizes)
    return AnchorGenerator(per_level, (ratios,) * len(sizes))


def build(recipe: DetectionRecipe, *, classes: int, weights: str) -> nn.Module:
    """The recipe's network.

    Raises:
        UnknownName, BadRecipe, BadCheckpoint: what does not exist or fit.
    """
    spec = architecture(recipe)
    if isinstance(spec, Published):
        network: nn.Module = build_published(recipe, classes=classes, weights=weights)
    else:
        network = _on_backbone(recipe, spec, classes=classes, weights=weights)
    set_thresholds(network, recipe)
    return network


def _on_backbone(recipe: DetectionRecipe, spec: Architecture, *, classes: int, weights: str) -> nn.Module:
    features = backbone(recipe.backbone)
    body = multi_scale(recipe.backbone, weights)
    freeze_levels(body, recipe.frozen_levels)
    return spec.build(recipe, body, Normalize(features.mean, features.std), anchors_of(recipe), classes)


def set_thresholds(network: nn.Module, recipe: DetectionRecipe) -> None:
    """What an evaluated network returns: the same as a package under the metrics' options."""
    options = scoring(recipe.task).options
    target: Any = network.detector if isinstance(network, OneStageDetector) else network.roi_heads
    target.score_thresh = options.score_threshold
    target.nms_thresh = recipe.iou_threshold
    target.detections_per_img = options.max_detections
