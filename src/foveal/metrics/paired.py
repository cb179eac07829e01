"""Paired bootstrap (`paired_differences`): how much better one model is than another on the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foveal.metrics.base import Figures, Interval, Resampled
from foveal.metrics.bootstrap import RESAMPLES, ROUNDING, SEED
from foveal.progress import track

LEAST_DIFFERING = 6  # images; with fewer no paired test finds anything at 5 %: 2 / 2**5 is 6 %, 2 / 2**6 is 3 %


@dataclass(frozen=True)
class Difference:
    """A figure of one model minus the same figure of the baseline, on the same images."""

    value: float
    interval_95: Interval
    differing: int  # images on which the two answer differently

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0 and enough images tell the two apart."""
        low, high = self.interval_95
        return self.differing >= LEAST_DIFFERING and (low > 0 or high < 0)

    def drops_by_more_than(self, drop: float) -> bool:
        """Whether the figure is lower by more than `drop`, with 97.5 % confidence."""
        return self.certain and self.interval_95[1] < -drop


@dataclass(frozen=True)
class PairedFigures:
    """Figures of several models on the same N images. Keys are those of `Resampled`."""

    values: Sequence[Figures]  # one a model, the baseline first
    intervals_95: Sequence[Mapping[tuple[str, str], Interval]]  # none where all resamples agree, as in `bootstrapped`
    differences: Sequence[Mapping[tuple[str, str], Difference]]  # one a model; the baseline's are empty


def paired_differences(
    models: Sequence[Resampled], *, resamples: int = RESAMPLES, what: str | None = "bootstrap"
) -> PairedFigures:
    """Draw images with repeats, the same for all models, and take the percentiles of each figure and each difference.

    The paired bootstrap of Efron and Tibshirani (1993, chapter 8): what is hard for all models cancels, so that the
    interval of a difference is far narrower than that of either figure. Images that belong together are resampled
    as if they did not: true intervals are wider.

    Args:
        models: on the same images, in the same order; the first is the baseline.
        resamples: how many times images are drawn.
        what: the name of the work on the progress bar; None: no bar.

    Raises:
        ValueError: not the same number of images.
    """
    count = models[0].count
    if any(model.count != count for model in models):
        raise ValueError(f"expected {count} images for every model, got {[model.count for model in models]}")
    random = np.random.default_rng(SEED)
    whole = [model.figures(np.arange(count)) for model in models]
    keys = list(whole[0])
    drawn = np.full((len(models), resamples, len(keys)), np.nan)
    draws = range(resamples)
    for turn in draws if what is None else track(draws, total=resamples, what=what):
        images = random.integers(0, count, count)
        for row, model in enumerate(models):
            found = model.figures(images)
            drawn[row, turn] = [found.get(key, np.nan) for key in keys]
    intervals = [
        {key: (low, high) for key, (low, high) in _intervals(drawn[row], keys).items() if high - low > ROUNDING}
        for row in range(len(models))
    ]
    differences: list[Mapping[tuple[str, str], Difference]] = [{}]
    for row in range(1, len(models)):
        ranges = _intervals(drawn[row] - drawn[0], keys)
        differing = int(np.count_nonzero(models[row].answers != models[0].answers))
        differences.append(
            {k: Difference(whole[row][k] - whole[0][k], ranges[k], differing) for k in ranges if k in whole[row]}
        )
    return PairedFigures(whole, intervals, differences)


def _intervals(drawn: npt.NDArray[np.float64], keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Interval]:
    """Percentiles over the resamples (R, K) that have the figure, for figures that most have."""
    found = {}
    for column, key in enumerate(keys):
        values = drawn[:, column]
        values = values[np.isfinite(values)]
        if len(values) > len(drawn) / 2:
            low, high = np.percentile(values, (2.5, 97.5))
            found[key] = (float(low), float(high))
    return found
