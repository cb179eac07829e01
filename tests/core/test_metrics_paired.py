"""Paired bootstrap: false alarms, power, agreement with each figure's own bootstrap, and few differing images."""

from statistics import NormalDist

import numpy as np
import pytest

from foveal.metrics import scoring
from foveal.metrics.base import Resampled
from foveal.metrics.bootstrap import bootstrap_95
from foveal.metrics.paired import Difference, paired_differences
from foveal.tasks.classification import Classification

LABELS = ("cat", "dog", "hen")
TOP1 = ("", "top1")


def classifier(truth: np.ndarray, right: np.ndarray, seed: int = 0) -> Resampled:
    """A model that is right where it is said to be, and takes the next class elsewhere."""
    predicted = np.where(right, truth, (truth + 1) % len(LABELS))
    confidence = np.random.default_rng(seed).uniform(0.5, 0.99, len(truth)).astype(np.float32)
    results = []
    for first, score in zip(predicted.tolist(), confidence, strict=True):
        rest = (1 - score) / 2
        order = np.array([first, *(k for k in range(len(LABELS)) if k != first)], np.int64)
        results.append(Classification(np.array([score, rest, rest], np.float32), order, LABELS, (8, 8)))
    return scoring("classification").resampled(results, truth.tolist(), LABELS)


def both_right(rng: np.random.Generator, count: int, accuracies: tuple[float, float]) -> list[np.ndarray]:
    """Where two models are right (N,) that find the same images hard."""
    shared, own = rng.normal(size=count), rng.normal(size=(2, count))
    scores = 0.8 * shared + 0.6 * own  # standard normal, correlated by 0.64
    return [score < NormalDist().inv_cdf(accuracy) for score, accuracy in zip(scores, accuracies, strict=True)]


def correlated(rng: np.random.Generator, count: int, accuracies: tuple[float, float]) -> list[Resampled]:
    """Two such classifiers."""
    truth = rng.integers(0, len(LABELS), count)
    return [classifier(truth, right) for right in both_right(rng, count, accuracies)]


def only_top1(right: np.ndarray) -> Resampled:
    """Without the figures that take longer."""
    return Resampled(len(right), lambda images: {TOP1: float(right[images].mean())}, "", right, right.astype(object))


def test_false_alarms_are_as_many_as_said() -> None:
    """200 pairs of models of the same accuracy: 5 ± 3 % are called different."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        models = [only_top1(right) for right in both_right(rng, 200, (0.85, 0.85))]
        alarms += paired_differences(models, resamples=500, what=None).differences[1][TOP1].certain
    assert 4 <= alarms <= 16


def test_a_drop_of_three_points_is_found() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 1000)
    right = rng.random(1000) < 0.9
    worse = right.copy()
    worse[rng.choice(np.flatnonzero(right), 30, replace=False)] = False
    difference = paired_differences([classifier(truth, right), classifier(truth, worse)], what=None).differences[1][
        TOP1
    ]
    assert difference.value == pytest.approx(-0.03)
    assert difference.certain
    assert difference.drops_by_more_than(0.01)
    assert not difference.drops_by_more_than(0.025)
    assert difference.differing == 30


def test_pairing_narrows_the_interval() -> None:
    """Against the interval that independent images would give."""
    a, b = correlated(np.random.default_rng(3), 500, (0.9, 0.88))
    low, high = paired_differences([a, b], what=None).differences[1][TOP1].interval_95
    alone = [bootstrap_95(lambda images, m=m: m.figures(images)[TOP1], 500) for m in (a, b)]
    apart = sum((end - start) ** 2 for start, end in alone) ** 0.5
    assert high - low < 0.85 * apart


def test_intervals_are_those_of_the_plain_bootstrap() -> None:
    a, b = correlated(np.random.default_rng(4), 300, (0.8, 0.8))
    found = paired_differences([a, b], what=None)
    for row, model in enumerate((a, b)):
        expected = bootstrap_95(lambda images, m=model: m.figures(images)["", "macro_f1"], 300)
        assert found.intervals_95[row]["", "macro_f1"] == pytest.approx(expected, abs=1e-12)


def test_the_same_model_twice_differs_by_nothing() -> None:
    a, _ = correlated(np.random.default_rng(5), 100, (0.8, 0.8))
    found = paired_differences([a, a], what=None).differences[1]
    assert all(d.value == 0 and d.interval_95 == (0, 0) and not d.certain and not d.differing for d in found.values())


@pytest.mark.parametrize(("differing", "certain"), [(5, False), (6, True)])
def test_five_images_prove_nothing(differing: int, certain: bool) -> None:
    """All of them for the same model: a sign test gives 2 / 2**5 = 6 %, and 3 % for six."""
    assert Difference(0.05, (0.01, 0.09), differing).certain is certain
    assert Difference(-0.05, (-0.09, -0.01), differing).drops_by_more_than(0.0) is certain


def test_other_images_are_refused() -> None:
    a, _ = correlated(np.random.default_rng(6), 100, (0.8, 0.8))
    b, _ = correlated(np.random.default_rng(6), 90, (0.8, 0.8))
    with pytest.raises(ValueError, match="expected 100 images"):
        paired_differences([a, b], what=None)
