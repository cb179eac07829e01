"""torchvision's own detectors, whole, with their COCO weights, to be fine-tuned.

Everything keeps its published weights but the layers that name classes; these are made anew for the data set's labels.
The networks keep their anchors, their input statistics and their size.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from torch import nn
from torchvision.models import WeightsEnum
from torchvision.models import detection as tv
from torchvision.models.detection.ssd import SSD

from foveal.errors import BadRecipe
from foveal.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, Unit
from foveal.models.backbones.normalization import Normalize
from foveal.models.backbones.weights import fill, from_torchvision, read_state_dict
from foveal.models.detection.networks.onestage import SSD_CANDIDATES, OneStageDetector
from foveal.models.detection.networks.pyramid import STRIDES, PyramidPool
from foveal.models.detection.networks.rcnn import TwoStageDetector
from foveal.models.detection.recipe import DetectionRecipe

Levels = tuple[tuple[str, ...], ...]  # submodules that `frozen_levels` counts, finest first

_RESNET: Levels = (
    ("backbone.body.conv1", "backbone.body.bn1", "backbone.body.layer1"),
    *((f"backbone.body.layer{i}",) for i in (2, 3, 4)),
)
_VGG: Levels = tuple(
    tuple(f"backbone.features.{i}" for i in convolutions)
    for convolutions in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21))
)
_MOBILENET: Levels = tuple(
    tuple(f"backbone.features.{i}" for i in stages)
    for stages in (("0.0", "0.1", "0.2", "0.3"), ("0.4", "0.5", "0.6"), tuple(f"0.{i}" for i in range(7, 14)), ("1",))
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """One detector of torchvision with COCO weights."""

    name: str
    summary: str
    task: str
    build: Callable[..., nn.Module]  # torchvision's builder
    weights: WeightsEnum
    named_classes: int  # outputs of the predictor beyond one a label: 1 for background
    new: str  # pattern of the layers that name classes, in torchvision's names
    levels: Levels
    mean: Unit = IMAGENET_MEAN
    std: Unit = IMAGENET_STD
    smallest_side: int = 32  # of the model input, in px, a multiple of 32


_BOX_HEAD = r"roi_heads\.box_predictor\."
_MASK_HEAD = r"roi_heads\.mask_predictor\.mask_fcn_logits\."

PUBLISHED: dict[str, Published] = {
    one.name: one
    for one in (
        Published(
            name="fasterrcnn_resnet50_fpn_v2",
            summary="43.7 M parameters; box AP 46.7 on COCO",
            task="object-detection",
            build=tv.fasterrcnn_resnet50_fpn_v2,
            weights=tv.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
            named_classes=1,
            new=_BOX_HEAD,
            levels=_RESNET,
        ),
        Published(
            name="maskrcnn_resnet50_fpn_v2",
            summary="46.4 M parameters; box AP 47.4, mask AP 41.8 on COCO",
            task="instance-segmentation",
            build=tv.maskrcnn_resnet50_fpn_v2,
            weights=tv.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
            named_classes=1,
            new=f"{_BOX_HEAD}|{_MASK_HEAD}",
            levels=_RESNET,
        ),
        Published(
            name="retinanet_resnet50_fpn_v2",
            summary="38.2 M parameters; box AP 41.5 on COCO",
            task="object-detection",
            build=tv.retinanet_resnet50_fpn_v2,
            weights=tv.RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
            named_classes=0,
            new=r"head\.classification_head\.cls_logits\.",
            levels=_RESNET,
        ),
        Published(
            name="ssd300_vgg16",
            summary="35.6 M parameters; box AP 25.1 on COCO",
            task="object-detection",
            build=tv.ssd300_vgg16,
            weights=tv.SSD300_VGG16_Weights.COCO_V1,
            named_classes=1,
            new=r"head\.classification_head\.module_list\.\d+\.",
            levels=_VGG,
            mean=(0.48235, 0.45882, 0.40784),
            std=(1 / 255,) * 3,
            smallest_side=288,
        ),
        Published(
            name="ssdlite320_mobilenet_v3_large",
            summary="3.4 M parameters; box AP 21.3 on COCO",
            task="object-detection",
            build=tv.ssdlite320_mobilenet_v3_large,
            weights=tv.SSDLite320_MobileNet_V3_Large_Weights.COCO_V1,
            named_classes=1,
            new=r"head\.classification_head\.module_list\.\d+\.1\.",
            levels=_MOBILENET,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
    )
}


def build_published(recipe: DetectionRecipe, *, classes: int, weights: str) -> nn.Module:
    """torchvision's network behind Foveal's model input.

    Args:
        recipe: `architecture` is a key of PUBLISHED; anchors and levels are the network's own.
        classes: labels of the data set.
        weights: "coco" (from torch's cache, else downloaded), "none", or a state_dict file of the whole detector, with
            or without the layers that name classes.

    Raises:
        BadRecipe: a field that these networks do not have, or ImageNet's weights. BadCheckpoint: weights that cannot
            be had or do not fit.
    """
    spec = PUBLISHED[recipe.architecture]
    _refuse_own_fields(recipe, weights)
    detector = spec.build(weights=None, weights_backbone=None, num_classes=classes + spec.named_classes)
    if weights != "none":
        state = from_torchvision(spec.weights)() if weights == "coco" else read_state_dict(Path(weights))
        fill(detector, state, new=re.compile(spec.new).match, what=spec.name, source=weights)
    network = _behind_input(detector, Normalize(spec.mean, spec.std), recipe)
    network.new_layers = spec.new
    for prefix in chain.from_iterable(spec.levels[: recipe.frozen_levels]):
        detector.get_submodule(prefix).requires_grad_(False)
    return network


def published_layers(network: TwoStageDetector | OneStageDetector) -> nn.ModuleList:
    """The layers that came with weights: all but those that name classes.

    Leaves only: the stages above them, which decide by their mode whether they compute losses, keep it.
    """
    new = re.compile(network.new_layers).match
    leaves = ((name, module) for name, module in network.named_modules() if not list(module.children()))
    return nn.ModuleList(module for name, module in leaves if not new(f"{name.removeprefix('detector.')}."))


def _behind_input(
    detector: nn.Module, normalize: Normalize, recipe: DetectionRecipe
) -> TwoStageDetector | OneStageDetector:
    if isinstance(detector, tv.FasterRCNN):
        return _two_stage(detector, normalize, recipe)
    if isinstance(detector, SSD):
        detector.topk_candidates = SSD_CANDIDATES
    return OneStageDetector(normalize, detector, recipe.input_hw, per_level=isinstance(detector, tv.RetinaNet))


def _two_stage(detector: tv.FasterRCNN, normalize: Normalize, recipe: DetectionRecipe) -> TwoStageDetector:
    """torchvision's parts, with our pooling and the recipe's numbers of proposals."""
    rpn, heads = detector.rpn, detector.roi_heads
    rpn._pre_nms_top_n = dict.fromkeys(("training", "testing"), recipe.proposals_before_nms)
    rpn._post_nms_top_n = dict.fromkeys(("training", "testing"), recipe.proposals)
    heads.fg_bg_sampler.batch_size_per_image = recipe.sampled_boxes
    heads.box_roi_pool = _pool(output_px=7)
    if heads.has_mask():
        heads.mask_roi_pool = _pool(output_px=14)
    return TwoStageDetector(normalize, detector.backbone, rpn, heads)


def _pool(*, output_px: int) -> PyramidPool:
    """As the weights were trained: 224 px are pooled at stride 16, from torchvision's levels "0" to "3"."""
    levels = [str(i) for i in range(len(STRIDES))]
    return PyramidPool(strides=tuple(STRIDES.values()), levels=levels, output_px=output_px, canonical_px=224.0)


def _refuse_own_fields(recipe: DetectionRecipe, weights: str) -> None:
    given = [name for name in ("anchor_sizes_px", "anchor_scales", "pyramid_levels") if getattr(recipe, name)]
    if given:
        raise BadRecipe(f"{recipe.architecture} has the anchors and levels of its weights; got {', '.join(given)}")
    if weights == "imagenet":
        raise BadRecipe(f"{recipe.architecture}: expected weights coco, none or a state_dict file, got imagenet")
    smallest = PUBLISHED[recipe.architecture].smallest_side
    if min(recipe.input_hw) < smallest:
        got = " x ".join(map(str, recipe.input_hw))
        raise BadRecipe(
            f"{recipe.architecture}: expected an input_hw of at least {smallest} x {smallest} px, got {got}"
        )
