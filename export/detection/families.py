"""Families of detectors (`FAMILIES`): what their graphs read and give, and the eager network in the same terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveal.errors import BadCheckpoint
from foveal.export.detection.onestage_graph import OneStageGraph
from foveal.export.detection.rcnn_graph import TwoStageGraph
from foveal.export.detection.rcnn_reference import detections
from foveal.export.networks import Array
from foveal.models.detection.networks.onestage import OneStageDetector
from foveal.models.detection.networks.rcnn import TwoStageDetector

HW = tuple[int, int]


@dataclass(frozen=True)
class Family:
    """One signature of foveal.tasks.object_detection; tensors and arrays go by its names."""

    example: Callable[[HW], dict[str, Tensor]]  # model input -> a batch of two
    outputs: Callable[[nn.Module], tuple[str, ...]]
    graph: Callable[[Any, HW], nn.Module]  # what is traced
    answer: Callable[[Any, Mapping[str, Array]], Mapping[str, Array]]  # the eager network, one image at a time
    doubts: tuple[str, ...] = ()  # what the eager network says beyond the graph's outputs


def family_of(network: nn.Module) -> Family:
    """The family that a trained network belongs to.

    Raises:
        BadCheckpoint: none.
    """
    if type(network) not in FAMILIES:
        known = ", ".join(kind.__name__ for kind in FAMILIES)
        raise BadCheckpoint(f"expected a detector ({known}), got {type(network).__name__}")
    return FAMILIES[type(network)]


def _image_inputs(input_hw: HW) -> dict[str, Tensor]:
    return {
        "images": torch.zeros((2, *input_hw, 3), dtype=torch.uint8),
        "content_hw": torch.tensor([input_hw] * 2, dtype=torch.float32),
    }


def _inputs_and_thresholds(input_hw: HW) -> dict[str, Tensor]:
    return {**_image_inputs(input_hw), "score_threshold": torch.full((2,), 0.5), "iou_threshold": torch.tensor(0.5)}


def _two_stage_outputs(network: nn.Module) -> tuple[str, ...]:
    assert isinstance(network, TwoStageDetector)
    return ("boxes", "scores", "class_ids", "image_index", *(["masks"] if network.roi_heads.has_mask() else []))


def _candidates(network: OneStageDetector, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The best K of each image; threshold and NMS are the core's, here as in production."""
    parts = []
    for i in range(len(feeds["images"])):
        images, content_hw = (torch.from_numpy(feeds[name][i : i + 1]) for name in ("images", "content_hw"))
        with torch.inference_mode():
            parts.append([tensor.numpy() for tensor in network.candidates(images, content_hw)])
    boxes, scores, class_ids = (np.concatenate(part) for part in zip(*parts, strict=True))
    return {"boxes": boxes, "scores": scores, "class_ids": class_ids}


FAMILIES: dict[type[nn.Module], Family] = {
    OneStageDetector: Family(
        example=_image_inputs,
        outputs=lambda _: ("boxes", "scores", "class_ids"),
        graph=lambda network, _: OneStageGraph(network),
        answer=_candidates,
    ),
    TwoStageDetector: Family(
        example=_inputs_and_thresholds,
        outputs=_two_stage_outputs,
        graph=TwoStageGraph,
        answer=detections,
        doubts=("undecided",),
    ),
}
