"""What scoring one model on one split gives, whatever the task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Scores:
    """Figures in [0, 1] unless their name says otherwise."""

    images: int
    values: dict[str, float]  # the headline, best known first
    intervals_95: dict[str, Interval] = field(default_factory=dict)  # of some of `values`
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)  # label -> figure -> value
    details: Mapping[str, Any] = field(default_factory=dict)  # what the task adds, JSON-able


# (results in full, truth of each, labels) -> scores
Scorer = Callable[[Sequence[Any], Sequence[Any], tuple[str, ...]], Scores]
