"""Scores (`Scores`): what scoring one model on one split gives, whatever the task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Interval = tuple[float, float]


@dataclass(frozen=True)
class Scores:
    """Figures in [0, 1] unless their name says otherwise."""

    images: int
    values: dict[str, float]  # the headline, best known first
    intervals_95: dict[str, Interval] = field(default_factory=dict)  # of some of `values`
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)  # label -> figure -> value
    details: Mapping[str, Any] = field(default_factory=dict)  # what the task adds, JSON-able


class Scorer(Protocol):
    """A task's scorer; a task with confidences takes `score_threshold` too."""

    def __call__(self, results: Sequence[Any], truths: Sequence[Any], labels: tuple[str, ...], /, **at: Any) -> Scores:
        """Score the results in full against the truth of each."""
        ...
