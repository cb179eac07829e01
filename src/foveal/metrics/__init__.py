"""Scores from (result, truth) pairs, so that checkpoints and packages are scored by the same code.

One line a task; the scorer is imported when it is asked for, so that COCO's tools load only for detections.
"""

import importlib

from foveal.errors import UnknownName
from foveal.metrics.base import Scorer, Scores

SCORERS: dict[str, str] = {
    "classification": "foveal.metrics.classification:score_classification",
}


def scorer(task: str) -> Scorer:
    """The task's scorer.

    Raises:
        UnknownName: no such task.
    """
    if task not in SCORERS:
        raise UnknownName.among("task", task, SCORERS)
    module, function = SCORERS[task].split(":")
    found: Scorer = getattr(importlib.import_module(module), function)
    return found


__all__ = ["SCORERS", "Scorer", "Scores", "scorer"]
