"""Bootstrap 95 % intervals of metrics."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from foveal.metrics.base import Interval

RESAMPLES = 1000
SEED = 0
ROUNDING = 1e-12  # resamples of one figure add up in other orders
_Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def bootstrapped(statistics: Mapping[str, Callable[[npt.NDArray[np.int64]], float]], count: int) -> dict[str, Interval]:
    """Name -> bootstrap interval, of the statistics that have one.

    A figure that is the same in every resample has none, and is left out: at a macro F1 of 1 no image is wrong, so
    none can be drawn, and an interval of 1 to 1 would call the model perfect. How many errors may be hidden there is
    given by an accuracy's interval (`wilson_95`), which needs no errors to be wide.
    """
    intervals = {name: bootstrap_95(statistic, count) for name, statistic in statistics.items()}
    return {name: (low, high) for name, (low, high) in intervals.items() if high - low > ROUNDING}


def bootstrap_95(statistic: Callable[[npt.NDArray[np.int64]], float], count: int) -> Interval:
    """Percentile bootstrap (Efron 1979): plain resampling of whole images, not stratified, seeded.

    Images that belong together (one person, one slide) are resampled as if they did not: the true interval is wider.

    Args:
        statistic: indices (count,) of a resample, with repeats -> the figure.
        count: number of images, at least 1.
    """
    random = np.random.default_rng(SEED)
    figures = [statistic(random.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(figures, (2.5, 97.5))
    return float(low), float(high)


def wilson_95(successes: int, count: int) -> Interval:
    """Wilson's score interval (1927) of a proportion.

    Used for accuracies, where the bootstrap would call 200 of 200 certain: it cannot resample an error that is not
    there. Wilson's says [0.981, 1].

    Args:
        successes: 0..count.
        count: at least 1.
    """
    share, z2 = successes / count, _Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 / (1 + z2 / count) * (share * (1 - share) / count + z2 / (4 * count**2)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
