"""Scoring registry (`SCORING`): scores from (result, truth) pairs, the same code for checkpoints and packages.

One line a task; its scorer is imported when it is asked for, so that COCO's tools load only for detections.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foveal.errors import UnknownName
from foveal.metrics.base import Resampled, Resampler, Scorer, Scores
from foveal.options import Options
from foveal.results import Result


@dataclass(frozen=True)
class Scoring:
    """How a task is scored: where its scorer lives, and options that let results come in full."""

    scorer: str  # "module:function"
    resampler: str  # the same
    options: Options
    truth: str | None = None  # the same; None: truths are not drawn

    @property
    def score(self) -> Scorer:
        """The scorer: (results, truths, labels) -> Scores."""
        found: Scorer = _loaded(self.scorer)
        return found

    @property
    def resampled(self) -> Resampler:
        """The same figures for any draw of the images: (results, truths, labels) -> Resampled."""
        found: Resampler = _loaded(self.resampler)
        return found

    @property
    def truth_result(self) -> Callable[[Any, tuple[str, ...], tuple[int, int]], Result] | None:
        """A truth as a result, to be drawn: (truth, labels, image_hw) -> Result."""
        return None if self.truth is None else _loaded(self.truth)


def _loaded(where: str) -> Any:
    module, function = where.split(":")
    return getattr(importlib.import_module(module), function)


TRUTHS = "foveal.metrics.truth_results"
SCORING: dict[str, Scoring] = {
    "classification": Scoring(
        "foveal.metrics.classification:score_classification",
        "foveal.metrics.classification:resampled_classification",
        Options(top_k=100_000),
        f"{TRUTHS}:class_truth",
    ),
    # a low threshold makes the precision-recall curve whole; at 0.05 no mask is made for what can hardly count
    "object-detection": Scoring(
        "foveal.metrics.detection:score_detection",
        "foveal.metrics.resampled_detection:resampled_detection",
        Options(score_threshold=0.01, max_detections=300),
        f"{TRUTHS}:object_truth",
    ),
    "semantic-segmentation": Scoring(
        "foveal.metrics.semantic:score_segmentation",
        "foveal.metrics.semantic:resampled_segmentation",
        Options(),
        f"{TRUTHS}:map_truth",
    ),
    "instance-segmentation": Scoring(
        "foveal.metrics.detection:score_instances",
        "foveal.metrics.resampled_detection:resampled_instances",
        Options(score_threshold=0.05, max_detections=300),
        f"{TRUTHS}:object_truth",
    ),
}


def scoring(task: str) -> Scoring:
    """The task's scoring.

    Raises:
        UnknownName: no such task.
    """
    if task not in SCORING:
        raise UnknownName.among("task", task, SCORING)
    return SCORING[task]


__all__ = ["SCORING", "Resampled", "Scorer", "Scores", "Scoring", "scoring"]
