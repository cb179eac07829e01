"""Scoring registry (`SCORING`): scores from (result, truth) pairs, the same code for checkpoints and packages.

One line a task; its scorer is imported when it is asked for, so that COCO's tools load only for detections.
"""

import importlib
from dataclasses import dataclass

from foveal.errors import UnknownName
from foveal.metrics.base import Scorer, Scores
from foveal.options import Options


@dataclass(frozen=True)
class Scoring:
    """How a task is scored: where its scorer lives, and options that let results come in full."""

    where: str  # "module:function"
    options: Options

    @property
    def score(self) -> Scorer:
        """The scorer: (results, truths, labels) -> Scores."""
        module, function = self.where.split(":")
        found: Scorer = getattr(importlib.import_module(module), function)
        return found


SCORING: dict[str, Scoring] = {
    "classification": Scoring("foveal.metrics.classification:score_classification", Options(top_k=100_000)),
    # a low threshold makes the precision-recall curve whole; at 0.05 no mask is made for what can hardly count
    "object-detection": Scoring(
        "foveal.metrics.detection:score_detection", Options(score_threshold=0.01, max_detections=300)
    ),
    "semantic-segmentation": Scoring("foveal.metrics.semantic:score_segmentation", Options()),
    "instance-segmentation": Scoring(
        "foveal.metrics.detection:score_instances",
        Options(score_threshold=0.05, max_detections=300),
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


__all__ = ["SCORING", "Scorer", "Scores", "Scoring", "scoring"]
