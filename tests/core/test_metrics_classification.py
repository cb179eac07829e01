"""Oracles: definitions spelt out in plain Python, without a matrix in sight."""

import math

import numpy as np
import pytest

from foveal.errors import UnknownName
from foveal.metrics import scoring
from foveal.metrics.bootstrap import bootstrap_95, wilson_95
from foveal.metrics.classification import calibration_error, score_classification
from foveal.tasks.classification import Classification

LABELS = tuple("abcdefg")


def results_of(scores: np.ndarray) -> list[Classification]:
    order = np.argsort(-scores, axis=1, kind="stable")
    labels = tuple(LABELS[: scores.shape[1]])
    return [
        Classification(row[ids], ids.astype(np.int64), labels, (4, 4)) for row, ids in zip(scores, order, strict=True)
    ]


def random_case(seed: int, count: int, classes: int) -> tuple[list[Classification], list[int]]:
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.full(classes, 0.4), count).astype(np.float32)
    truth = np.where(random.random(count) < 0.6, scores.argmax(1), random.integers(0, classes, count))
    return results_of(scores), [int(t) for t in truth]


@pytest.mark.parametrize("seed", range(5))
def test_against_definitions(seed: int) -> None:
    results, truth = random_case(seed, count=120, classes=7)
    scores = score_classification(results, truth, LABELS)
    said = [int(r.class_ids[0]) for r in results]
    pairs = list(zip(said, truth, strict=True))
    assert scores.images == 120
    assert scores.values["top1"] == pytest.approx(sum(s == t for s, t in pairs) / 120)
    top5 = sum(t in set(r.class_ids[:5].tolist()) for r, t in zip(results, truth, strict=True)) / 120
    assert scores.values["top5"] == pytest.approx(top5)
    f1s = []
    for class_id, label in enumerate(LABELS):
        tp = sum(s == t == class_id for s, t in pairs)
        fp = sum(s == class_id != t for s, t in pairs)
        fn = sum(t == class_id != s for s, t in pairs)
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        f1s.append(2 * precision * recall / (precision + recall))
        expected = {"precision": precision, "recall": recall, "f1": f1s[-1], "support": tp + fn}
        assert scores.per_class[label] == pytest.approx(expected)
        for other in range(7):
            n = sum(t == class_id and s == other for s, t in pairs)
            assert scores.details["confusion"][class_id][other] == n
    assert scores.values["macro_f1"] == pytest.approx(sum(f1s) / 7)


def test_calibration_error_against_bins_spelt_out() -> None:
    random = np.random.default_rng(3)
    confidence = np.concatenate([random.random(200), [0.0, 1.0, 1 / 15, 2 / 15]])
    hit = random.random(204) < 0.5
    total = 0.0
    for m in range(15):
        low, high = m / 15, (m + 1) / 15
        inside = [i for i, c in enumerate(confidence) if low < c <= high or (m == 0 and c == 0)]
        if inside:
            accuracy = sum(bool(hit[i]) for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    assert calibration_error(confidence, hit) == pytest.approx(total)


def test_calibration_of_the_sure_and_right_is_zero_and_of_the_sure_and_wrong_is_one() -> None:
    sure = np.ones(10)
    assert calibration_error(sure, np.ones(10, bool)) == 0
    assert calibration_error(sure, np.zeros(10, bool)) == 1


def test_a_class_without_images_or_predictions_is_zero_and_not_in_the_mean() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]], np.float32)
    found = score_classification(results_of(scores), [0, 1], LABELS[:3])
    assert found.per_class["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert found.values["macro_f1"] == 1
    assert "top5" not in found.values  # with three classes it would always be 1


def test_scores_do_not_depend_on_the_order_of_images() -> None:
    results, truth = random_case(7, count=50, classes=6)
    turned = score_classification(results[::-1], truth[::-1], LABELS[:6])
    assert turned.values == pytest.approx(score_classification(results, truth, LABELS[:6]).values)


def test_a_perfect_score_has_an_interval_for_its_accuracy_and_none_for_what_no_resample_changes() -> None:
    found = score_classification(
        results_of(np.eye(7, dtype=np.float32).repeat(30, axis=0)), [*np.arange(7).repeat(30)], LABELS
    )
    assert found.values["macro_f1"] == 1
    assert found.intervals_95.keys() == {"top1", "top5"}  # ece: all scores are 1 and right
    assert found.intervals_95["top1"][0] == pytest.approx(0.982, abs=1e-3)


def test_intervals_hold_the_figure_and_repeat() -> None:
    results, truth = random_case(1, count=80, classes=6)
    first, again = (score_classification(results, truth, LABELS[:6]) for _ in range(2))
    assert first == again
    assert first.intervals_95.keys() == first.values.keys()
    for name in ("top1", "top5", "macro_f1"):
        low, high = first.intervals_95[name]
        assert low < first.values[name] < high


def test_bootstrap_of_a_mean_against_theory() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = bootstrap_95(lambda i: float(values[i].mean()), 400)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [(81, 263, (0.2553, 0.3662)), (0, 20, (0.0, 0.1611)), (29, 29, (0.8830, 1.0))],
)
def test_wilson_solves_its_equation(successes: int, count: int, expected: tuple[float, float]) -> None:
    found = wilson_95(successes, count)
    assert found == pytest.approx(expected, abs=5e-5)
    for bound in found:  # both ends solve (share - p)^2 = z^2 p (1 - p) / n
        left, right = (successes / count - bound) ** 2, 1.959964**2 * bound * (1 - bound) / count
        assert left == pytest.approx(right, abs=1e-9)


def test_coverage_of_wilson_by_simulation() -> None:
    random = np.random.default_rng(5)
    inside = [low <= 0.95 <= high for low, high in (wilson_95(int(random.binomial(60, 0.95)), 60) for _ in range(4000))]
    assert 0.93 <= np.mean(inside) <= 0.985


def test_unknown_task_lists_the_choices() -> None:
    with pytest.raises(UnknownName, match="classification"):
        scoring("poetry")
