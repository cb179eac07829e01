"""Scores (`Scores`) of one model on one split, whatever the task, and the same for any draw of images (`Resampled`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]
Figures = dict[tuple[str, str], float]  # ("", "AP50") of all; ("label", "RBC") of a class, ("size", "small") of objects
IntArray = npt.NDArray[np.int64]


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


@dataclass(frozen=True)
class Resampled:
    """Figures of one model as functions of the images they are measured on: for intervals, differences and slices.

    Attributes:
        count: N images.
        figures: indices (K,) of images, with repeats -> figures. Those that need what is not there are left out. The
            first is the task's main figure; figures of a label or a size are `by`.
        by: name of the figure that labels and sizes have.
        quality: (N,) of each image's result, in [0, 1].
        answers: (N,) equal for two models where their results are the same to the scorer.
        alone: figures that are had faster by themselves, by name.
    """

    count: int
    figures: Callable[[IntArray], Figures]
    by: str
    quality: npt.NDArray[np.float64]
    answers: npt.NDArray[np.object_]
    alone: Mapping[str, Callable[[IntArray], float]] = field(default_factory=dict)

    def part(self, images: IntArray, name: str) -> "Resampled":
        """One figure of all, on some of the images."""
        key = ("", name)

        def figures(drawn: IntArray) -> Figures:
            if name in self.alone:
                return {key: self.alone[name](images[drawn])}
            whole = self.figures(images[drawn])
            return {key: whole[key]} if key in whole else {}

        return Resampled(len(images), figures, self.by, self.quality[images], self.answers[images])


class Resampler(Protocol):
    """A task's figures on any draw of images; arguments are those of its `Scorer`."""

    def __call__(
        self, results: Sequence[Any], truths: Sequence[Any], labels: tuple[str, ...], /, **at: Any
    ) -> Resampled:
        """Figures of the images and of any draw of them."""
        ...


def object_array(values: Sequence[object]) -> npt.NDArray[np.object_]:
    """(N,) of any hashable values; tuples stay whole."""
    found = np.empty(len(values), object)
    found[:] = list(values)
    return found
