"""Families (`FAMILIES`): by framework, how images are prepared and which outputs its exports have."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from foveal.errors import BadModelFile
from foveal.export.importing.families.dense import ClassifierHead, SemanticHead
from foveal.export.importing.families.detr import DetrHead, SelectedHead
from foveal.export.importing.families.head import Head, Probe
from foveal.export.importing.families.yolo import (
    EndToEndHead,
    EndToEndSegmentHead,
    UltralyticsHead,
    UltralyticsSegmentHead,
    YoloV5Head,
    YoloxHead,
)
from foveal.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD

Heads = tuple[type[Head], ...]
IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
LETTERBOX = {"resize": "letterbox", "pad_value": 114, "interpolation": "bilinear"}


@dataclass(frozen=True)
class Family:
    """How one framework's own predictor prepares images, and the outputs that its exports may have, first fit first."""

    about: str
    heads: Heads
    fields: Callable[[str, tuple[int, int]], Mapping[str, Any]]  # task, (height, width) -> of the reading


def _ultralytics(task: str, input_hw: tuple[int, int]) -> Mapping[str, Any]:
    """LetterBox and 0..1; classifiers: torchvision's Resize and CenterCrop of the input's size, not normalised."""
    if task == "classification":
        return {"resize": "center-crop", "shorter_side": max(input_hw), "interpolation": "pillow-bilinear"}
    return {
        **LETTERBOX,
        "pad_position": "center",
        "rounding": "half_even",
        "box_scale": "own",
        "iou_threshold": 0.7,
    }


def _yolox(_task: str, _hw: tuple[int, int]) -> Mapping[str, Any]:
    """0..255, BGR, content at the top left; NMS as its own evaluation (nmsthre 0.65)."""
    how = {"pad_position": "top-left", "rounding": "down", "colour": "bgr", "scale": 1.0, "iou_threshold": 0.65}
    return {**LETTERBOX, **how}


def _stretched(_task: str, _hw: tuple[int, int]) -> Mapping[str, Any]:
    """Both sides to the input's size, ImageNet's mean and standard deviation."""
    return {"resize": "stretch", "interpolation": "pillow-bilinear", "rounding": "down", **IMAGENET}


def _smp(_task: str, _hw: tuple[int, int]) -> Mapping[str, Any]:
    """Stretched by OpenCV, as albumentations does, ImageNet's mean and standard deviation."""
    return {"resize": "stretch", "interpolation": "bilinear", **IMAGENET}


def _timm(_task: str, input_hw: tuple[int, int]) -> Mapping[str, Any]:
    """timm's defaults: crop_pct 0.875, bicubic, ImageNet's mean and standard deviation."""
    shorter = math.floor(max(input_hw) / 0.875)
    return {"resize": "center-crop", "shorter_side": shorter, "interpolation": "pillow-bicubic", **IMAGENET}


def _torchvision(task: str, input_hw: tuple[int, int]) -> Mapping[str, Any]:
    """Its presets: 256 / 224 for classifiers; detectors normalise inside the file."""
    if task == "object-detection":
        return {"resize": "stretch", "interpolation": "pillow-bilinear"}
    if task == "semantic-segmentation":
        return _stretched(task, input_hw)
    shorter = max(input_hw) * 256 // 224
    return {"resize": "center-crop", "shorter_side": shorter, "interpolation": "pillow-bilinear", **IMAGENET}


def _keras(_task: str, _hw: tuple[int, int]) -> Mapping[str, Any]:
    """0..255: keras.applications since EfficientNet rescale inside; others by --scale, --mean, --std."""
    return {"resize": "stretch", "scale": 1.0, "interpolation": "bilinear"}


def _rtdetr(_task: str, _hw: tuple[int, int]) -> Mapping[str, Any]:
    """Stretched, 0..1, not normalised."""
    return {"resize": "stretch", "interpolation": "pillow-bilinear"}


ULTRALYTICS: Heads = (
    UltralyticsSegmentHead,
    EndToEndSegmentHead,
    YoloV5Head,
    UltralyticsHead,
    EndToEndHead,
    ClassifierHead,
)
DETECTORS: Heads = (
    SelectedHead,
    UltralyticsSegmentHead,
    EndToEndSegmentHead,
    YoloV5Head,
    YoloxHead,
    UltralyticsHead,
    EndToEndHead,
    DetrHead,
)
FAMILIES: Mapping[str, Family] = {
    "ultralytics": Family("YOLOv5 to YOLO26, RT-DETR", ULTRALYTICS, _ultralytics),
    "yolox": Family("YOLOX", (YoloxHead,), _yolox),
    "detr": Family("DETR, Conditional and Deformable DETR", (SelectedHead, DetrHead), _stretched),
    "rtdetr": Family("RT-DETR of Hugging Face or its authors", (SelectedHead, DetrHead), _rtdetr),
    "rfdetr": Family("RF-DETR", (SelectedHead, DetrHead), _stretched),
    "timm": Family("timm's classifiers", (ClassifierHead,), _timm),
    "torchvision": Family("torchvision", (SelectedHead, ClassifierHead, SemanticHead), _torchvision),
    "hf": Family("Hugging Face transformers", (DetrHead, ClassifierHead, SemanticHead), _stretched),
    "smp": Family("segmentation_models_pytorch", (SemanticHead,), _smp),
    "keras": Family("Keras, TensorFlow", (ClassifierHead, SemanticHead), _keras),
}


def head_of(family: str, probe: Probe, task: str | None, name: str) -> Head:
    """The outputs of a file, read as a family's.

    Raises:
        BadModelFile: none of its heads fits; shapes are listed.
    """
    for kind in FAMILIES[family].heads:
        if (task is None or kind.task == task) and (head := kind.of(probe)) is not None:
            return head
    got = ", ".join(f"{output} {array.shape} {array.dtype}" for output, array in probe.outputs)
    known = "; ".join(kind.name for kind in FAMILIES[family].heads if task in (None, kind.task))
    raise BadModelFile(f"{name}: as {family}, expected outputs of {known or f'the task {task}'}; got {got}")


def guess(probe: Probe, metadata: Mapping[str, Any]) -> str:
    """The family that a file seems to be of: by what its metadata say, then by the shapes of its outputs.

    The reference proof tells whether that is right.
    """
    if "Ultralytics" in str(metadata.get("author", "")) or {"names", "stride", "imgsz"} <= metadata.keys():
        return "ultralytics"
    for kind in DETECTORS:
        if (head := kind.of(probe)) is not None:
            if isinstance(head, SelectedHead):
                return "rtdetr" if head.batched else "torchvision"
            by_head = {YoloxHead: "yolox", DetrHead: "detr"}
            return by_head.get(type(head), "ultralytics")
    if probe.channels_last:
        return "keras"
    return "torchvision" if ClassifierHead.of(probe) is not None else "smp"


def alike(family: str, head: Head, probe: Probe, task: str | None) -> list[str]:
    """Families that would read the same outputs of a file and prepare images otherwise."""
    input_hw = (1, 1)  # only to compare
    own = FAMILIES[family].fields(head.task, input_hw)
    found = []
    for name, other in FAMILIES.items():
        fits = [kind for kind in other.heads if task in (None, kind.task) and kind.of(probe) is not None][:1]
        if fits == [type(head)] and other.fields(head.task, input_hw) != own:
            found.append(name)
    return found
