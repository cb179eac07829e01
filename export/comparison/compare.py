"""Comparison of models (`compare`) on the same images: paired differences to the first, slices, a verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.errors import BadData, UnknownName
from foveal.export.comparison.slices import Slice, slices_of
from foveal.export.comparison.subject import Subject
from foveal.export.evaluation.evaluate import results_of
from foveal.metrics import Resampled, scoring
from foveal.metrics.paired import Difference, PairedFigures, paired_differences
from foveal.models.data.dataset import Sample
from foveal.progress import track

Log = Callable[[str], None]
SLICE_RESAMPLES = 300
LOWER_IS_BETTER = frozenset({"ece"})


@dataclass(frozen=True)
class SliceFigures:
    """The main figure on some of the images."""

    slice: Slice
    values: list[float]  # one a model; NaN: nothing to measure
    differences: list[Difference | None]  # to the baseline


@dataclass(frozen=True)
class Comparison:
    """What was found. Lists have one item a model, the baseline first."""

    names: tuple[str, ...]
    task: str
    labels: tuple[str, ...]
    samples: tuple[Sample[Any], ...]
    metric: str  # the main figure
    by: str  # the figure of labels and sizes
    figures: PairedFigures
    slices: list[SliceFigures]
    quality: npt.NDArray[np.float64]  # (models, images)

    def main_difference(self, model: int) -> Difference:
        """Of the main figure, positive where the model is better than the baseline."""
        found = self.figures.differences[model]["", self.metric]
        if self.metric not in LOWER_IS_BETTER:
            return found
        low, high = found.interval_95
        return Difference(-found.value, (-high, -low), found.differing)

    def verdict(self, model: int) -> str:
        """In words."""
        difference, name = self.main_difference(model), self.names[model]
        if not difference.differing:
            return f"{name} answers as {self.names[0]} does, on all {len(self.samples)} images"
        points, (low, high) = 100 * difference.value, (100 * edge for edge in difference.interval_95)
        between = f"{low:+.1f} to {high:+.1f}, {self.metric}"
        if difference.certain:
            word = "better" if points > 0 else "worse"
            return f"{name} is {word} than {self.names[0]} by {abs(points):.1f} points ({between})"
        few = f"; only {difference.differing} images tell them apart" if difference.differing < 10 else ""
        return f"no certain difference between {name} and {self.names[0]}: {points:+.1f} points ({between}){few}"

    def worse(self, max_drop: float) -> list[str]:
        """Names of the models that are worse than the baseline by more than `max_drop`, in [0, 1]."""
        rows = range(1, len(self.names))
        return [self.names[row] for row in rows if self.main_difference(row).drops_by_more_than(max_drop)]

    def most_different(self, count: int) -> list[int]:
        """Images on which the models' quality lies farthest apart; only those where it does."""
        spread = self.quality.max(axis=0) - self.quality.min(axis=0)
        order = np.argsort(-spread, kind="stable")[:count]
        return [int(i) for i in order if spread[i] > 0]


def compare(
    subjects: Sequence[Subject],
    samples: Sequence[Sample[Any]],
    *,
    metric: str | None = None,
    table: Path | None = None,
    log: Log = lambda _: None,
) -> Comparison:
    """Score models on the same images and say how they differ.

    Args:
        subjects: the baseline first, at least two.
        samples: images with their truth, in the models' class ids.
        metric: the main figure; None: the task's first.
        table: CSV whose columns are slices.
        log: gets a line before each step.

    Raises:
        BadData: models of different tasks or labels, no samples, or the table. UnknownName: no such figure.
    """
    check_alike(subjects)
    spec = subjects[0].pipeline.spec
    models = []
    for subject in subjects:
        log(f"{subject.name}: {len(samples)} images")
        models.append(_resampled(subject, samples))
    log("paired differences")
    figures = paired_differences(models)
    names = [name for kind, name in figures.values[0] if not kind]
    if metric is not None and metric not in names:
        raise UnknownName.among("metric", metric, names)
    main = metric or names[0]
    parts = slices_of(samples, table)
    found = [_on_slice(models, each, main) for each in track(parts, total=len(parts), what="slices")]
    return Comparison(
        names=tuple(subject.name for subject in subjects),
        task=spec.task,
        labels=spec.labels,
        samples=tuple(samples),
        metric=main,
        by=models[0].by,
        figures=figures,
        slices=found,
        quality=np.stack([model.quality for model in models]),
    )


def check_alike(subjects: Sequence[Subject]) -> None:
    """Refuse models that answer different questions.

    Raises:
        BadData: the tasks or labels differ.
    """
    first = subjects[0].pipeline.spec
    for subject in subjects[1:]:
        spec = subject.pipeline.spec
        if spec.task != first.task:
            raise BadData(f"{subject.name}: expected a model for {first.task}, as {subjects[0].name}; got {spec.task}")
        if spec.labels != first.labels:
            raise BadData(
                f"{subject.name}: expected the labels of {subjects[0].name}, {', '.join(first.labels)}; got "
                f"{', '.join(spec.labels)}"
            )


def _resampled(subject: Subject, samples: Sequence[Sample[Any]]) -> Resampled:
    """Figures as functions of the images; the results themselves are let go."""
    spec = subject.pipeline.spec
    threshold = spec.defaults.score_threshold
    at = {} if threshold is None else {"score_threshold": threshold}
    truths = [sample.truth for sample in samples]
    return scoring(spec.task).resampled(results_of(subject.pipeline, samples), truths, spec.labels, **at)


def _on_slice(models: Sequence[Resampled], of: Slice, metric: str) -> SliceFigures:
    """Of the main figure only."""
    parts = [model.part(of.images, metric) for model in models]
    found = paired_differences(parts, resamples=SLICE_RESAMPLES, what=None)
    key = ("", metric)
    values = [figures.get(key, float("nan")) for figures in found.values]
    return SliceFigures(of, values, [differences.get(key) for differences in found.differences])
