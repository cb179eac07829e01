"""Scores of a classifier: accuracy, precision and recall by class, calibration, confusion."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from foveal.metrics.base import Figures, IntArray, Interval, Resampled, Scores, object_array
from foveal.metrics.bootstrap import bootstrapped, wilson_95
from foveal.tasks.classification import Classification

ECE_BINS = 15


def score_classification(results: Sequence[Classification], truth: Sequence[int], labels: tuple[str, ...]) -> Scores:
    """Score N images.

    top1, top5: share of images whose class is the first, or among the first five, of the result.
    macro_f1: mean of F1 over the classes that occur in the truth.
    ece: expected calibration error, see `calibration_error`; 0 is best.

    Args:
        results: with every class in them (top_k = all), N at least 1.
        truth: N class ids.
        labels: C names. top5 is given when there are more than five.

    Returns:
        Scores; accuracies carry Wilson's interval, the others a bootstrap's where it tells anything (`bootstrapped`).
        `per_class` has precision, recall, f1 and support; `details["confusion"]` is (C, C), rows truth, columns
        prediction.
    """
    assert len(results) == len(truth) > 0
    wanted = np.asarray(truth, np.int64)
    order = np.stack([result.class_ids for result in results])  # (N, C)
    confidence = np.array([result.scores[0] for result in results], np.float64)
    assert order.shape[1] == len(labels), "results were cut by top_k"
    rank = np.argmax(order == wanted[:, None], axis=1)  # 0: first
    predicted, hit = order[:, 0], rank == 0
    confusion = confusion_matrix(wanted, predicted, len(labels))

    count = len(wanted)
    values: dict[str, float] = {"top1": float(hit.mean())}
    intervals: dict[str, Interval] = {"top1": wilson_95(int(hit.sum()), count)}
    if len(labels) > 5:
        values["top5"] = float((rank < 5).mean())
        intervals["top5"] = wilson_95(int((rank < 5).sum()), count)
    values |= {"macro_f1": macro_f1(confusion), "ece": calibration_error(confidence, hit)}
    statistics: dict[str, Callable[[IntArray], float]] = {
        "macro_f1": lambda i: macro_f1(confusion_matrix(wanted[i], predicted[i], len(labels))),
        "ece": lambda i: calibration_error(confidence[i], hit[i]),
    }
    intervals |= bootstrapped(statistics, count)
    per_class = {label: by_class(confusion, i) for i, label in enumerate(labels)}
    return Scores(count, values, intervals, per_class, {"labels": labels, "confusion": confusion.tolist()})


def resampled_classification(
    results: Sequence[Classification], truth: Sequence[int], labels: tuple[str, ...]
) -> Resampled:
    """top1, top5, macro_f1 and ece of any draw of the images, and each label's recall; arguments as above.

    An image's quality is the probability of its class.
    """
    wanted = np.asarray(truth, np.int64)
    order = np.stack([result.class_ids for result in results])
    scores = np.stack([result.scores for result in results]).astype(np.float64)
    rank = np.argmax(order == wanted[:, None], axis=1)

    def figures(images: IntArray) -> Figures:
        ranks, counts = rank[images], confusion_matrix(wanted[images], order[images, 0], len(labels))
        found: Figures = {("", "top1"): float((ranks == 0).mean())}
        if len(labels) > 5:
            found["", "top5"] = float((ranks < 5).mean())
        found["", "macro_f1"] = macro_f1(counts)
        found["", "ece"] = calibration_error(scores[images, 0], ranks == 0)
        support = counts.sum(axis=1)
        return found | {("label", labels[k]): float(counts[k, k] / support[k]) for k in np.flatnonzero(support)}

    quality = np.take_along_axis(scores, rank[:, None], axis=1)[:, 0]
    hit = rank == 0
    alone = {"top1": lambda images: float(hit[images].mean())}
    return Resampled(len(wanted), figures, "recall", quality, object_array(order[:, 0].tolist()), alone)


def confusion_matrix(truth: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """(C, C) counts: row = true class, column = predicted class."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def by_class(confusion: IntArray, class_id: int) -> dict[str, float]:
    """Precision, recall, F1 and support of one class; a figure without cases (0/0) is 0."""
    hits, said, support = confusion[class_id, class_id], confusion[:, class_id].sum(), confusion[class_id].sum()
    return {
        "precision": _ratio(hits, said),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, said + support),
        "support": int(support),
    }


def macro_f1(confusion: IntArray) -> float:
    """Mean F1 over the classes that occur in the truth, each counting the same."""
    occurring = confusion.sum(axis=1) > 0
    said_and_support = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * confusion.diagonal()[occurring] / said_and_support[occurring]).mean())


def calibration_error(confidence: npt.NDArray[np.float64], hit: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 bins (l, u] of equal width (Guo et al. 2017, eq. 3).

    Args:
        confidence: (N,) score of the predicted class, in [0, 1].
        hit: (N,) whether the prediction was right.
    """
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins, hit - confidence, ECE_BINS)  # bin's count x (accuracy - mean confidence)
    return float(np.abs(gaps).sum() / len(hit))


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
