"""Scores of detectors and instance segmenters: COCO's figures, and what holds at the best confidence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from pycocotools.cocoeval import COCOeval

from foveal.imaging import masks
from foveal.metrics import coco
from foveal.metrics.base import Scores
from foveal.metrics.bootstrap import bootstrapped
from foveal.metrics.boundary import boundary_iou
from foveal.metrics.coco import ClassMatches, Kind
from foveal.metrics.detection_errors import Judged, count_error, error_table, judge
from foveal.metrics.resampled_detection import Curve, resampled_ap50
from foveal.metrics.truth import ObjectTruth
from foveal.tasks.detections import Detections

CURVE_POINTS = 200  # of the F1 curve that is kept for images
HEADLINE = ("AP50", "AP", "AP75", "AR_100")


@dataclass(frozen=True)
class OperatingPoint:
    """What a confidence gives over all classes at IoU 0.5. Detections with a score ABOVE the threshold are kept."""

    score_threshold: float
    precision: float
    recall: float
    f1: float


def score_detection(
    results: Sequence[Detections],
    truths: Sequence[ObjectTruth],
    labels: tuple[str, ...],
    *,
    score_threshold: float | None = None,
) -> Scores:
    """Score the boxes of N images.

    Args:
        results: with a score threshold near 0, so that the precision-recall curve is whole.
        truths: one an image.
        labels: the classes.
        score_threshold: what the model is used with; None: the best one on these images.

    Returns:
        Scores. values: AP50, AP (over IoU 0.50 to 0.95), AP75, AR_100, best_f1. details: "coco" (all twelve figures),
        "best_f1" (an OperatingPoint: a good default threshold), "f1_curve", "pr_curves" (IoU 0.5, 101 recalls, by
        label); and of the detections above `score_threshold` "at_threshold" (an OperatingPoint), "errors"
        (foveal.metrics.detection_errors) and "count". A figure that needs objects which are not there (say, small
        ones) is left out.
    """
    return _score(results, truths, labels, "bbox", score_threshold)[0]


def score_instances(
    results: Sequence[Detections],
    truths: Sequence[ObjectTruth],
    labels: tuple[str, ...],
    *,
    score_threshold: float | None = None,
) -> Scores:
    """Score the masks of N images, and their boxes beside them.

    Returns:
        As `score_detection`, measured on masks; also values box_AP50 and box_AP, and details "boundary_iou": the mean
        over correct instances above `score_threshold`.
    """
    boxes = coco.figures(_run(results, truths, labels, "bbox"))
    scores, judged = _score(results, truths, labels, "segm", score_threshold)
    values = scores.values | {f"box_{name}": boxes[name] for name in ("AP50", "AP") if name in boxes}
    details = {**scores.details, "box_coco": boxes, "boundary_iou": _boundary(judged, results, truths)}
    return Scores(scores.images, values, scores.intervals_95, scores.per_class, details)


def _score(
    results: Sequence[Detections],
    truths: Sequence[ObjectTruth],
    labels: tuple[str, ...],
    kind: Kind,
    score_threshold: float | None,
) -> tuple[Scores, list[Judged]]:
    run = _run(results, truths, labels, kind)
    matches = [coco.class_matches(run, k) for k in range(len(labels))]
    figures = coco.figures(run)
    best, curve = best_f1(matches)
    used = best if score_threshold is None else operating_point(matches, score_threshold)
    judged = [judge(r, t, used.score_threshold, kind) for r, t in zip(results, truths, strict=True)]
    details = {
        "coco": figures,
        "best_f1": asdict(best),
        "f1_curve": curve,
        "pr_curves": {label: _pr_curve(run, k) for k, label in enumerate(labels) if matches[k].objects.any()},
        "at_threshold": asdict(used),
        "errors": error_table(judged, results, truths, labels),
        "count": count_error(results, truths, used.score_threshold),
    }
    values = {name: figures[name] for name in HEADLINE if name in figures} | {"best_f1": best.f1}
    ap50 = {"AP50": partial(resampled_ap50, [Curve.of([m], slice(1)) for m in matches])} if "AP50" in figures else {}
    intervals = bootstrapped(ap50, len(results))
    per_class = {label: _class_figures(run, k, matches[k]) for k, label in enumerate(labels)}
    return Scores(len(results), values, intervals, per_class, details), judged


def _run(results: Sequence[Detections], truths: Sequence[ObjectTruth], labels: tuple[str, ...], kind: Kind) -> COCOeval:
    assert len(results) == len(truths) > 0
    return coco.evaluate(coco.truth_dataset(truths, labels, kind), coco.result_rows(results, kind), kind)


def _class_figures(run: COCOeval, category: int, matches: ClassMatches) -> dict[str, float]:
    figures = coco.figures(run, category=category)
    chosen = {name: figures[name] for name in ("AP50", "AP") if name in figures}
    return chosen | {"objects": float(matches.objects.sum())}


def operating_point(matches: Sequence[ClassMatches], score_threshold: float) -> OperatingPoint:
    """What one confidence gives over all classes together at IoU 0.5; a share of nothing is 0."""
    scores, hit, objects = _pooled(matches)
    kept = scores > score_threshold
    right, found = int(np.count_nonzero(hit & kept)), int(np.count_nonzero(kept))
    return OperatingPoint(
        score_threshold, right / max(found, 1), right / max(objects, 1), 2 * right / max(found + objects, 1)
    )


def best_f1(matches: Sequence[ClassMatches]) -> tuple[OperatingPoint, dict[str, list[float]]]:
    """The confidence with the highest F1 over all classes together at IoU 0.5, and the curve it was read from.

    The threshold lies midway between the last detection that is kept and the first that is not.
    """
    scores, hit, objects = _pooled(matches)
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(hit[order])
    kept = np.arange(1, len(scores) + 1)
    following = np.append(scores[1:], 0.0)
    cuts = np.flatnonzero(scores > following)  # only between different scores can a threshold lie
    if not len(cuts) or not objects:
        return OperatingPoint(0.5, 0.0, 0.0, 0.0), {"score_threshold": [], "f1": []}
    thresholds = (scores[cuts] + following[cuts]) / 2
    f1 = 2 * right[cuts] / (kept[cuts] + objects)
    top = int(f1.argmax())
    at = cuts[top]
    point = OperatingPoint(
        float(thresholds[top]), float(right[at] / kept[at]), float(right[at] / objects), float(f1[top])
    )
    shown = np.unique(np.linspace(0, len(cuts) - 1, CURVE_POINTS).astype(np.int64))
    return point, {"score_threshold": thresholds[shown].tolist(), "f1": f1[shown].tolist()}


def _pooled(matches: Sequence[ClassMatches]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], int]:
    """Scores (N,) and hits (N,) at IoU 0.5 of all classes' detections, crowds left out; and the number of objects."""
    scores = np.concatenate([m.scores[~m.ignored[0]] for m in matches])
    hit = np.concatenate([m.hit[0][~m.ignored[0]] for m in matches])
    return scores, hit, int(sum(m.objects.sum() for m in matches))


def _pr_curve(run: COCOeval, category: int) -> dict[str, list[float]]:
    """Recall (101 values), precision made falling, and the confidence where each recall is reached; at IoU 0.5."""
    cell = (0, slice(None), category, 0, -1)
    return {
        "recall": run.params.recThrs.tolist(),
        "precision": run.eval["precision"][cell].tolist(),
        "score": run.eval["scores"][cell].tolist(),
    }


def _boundary(judged: Sequence[Judged], results: Sequence[Detections], truths: Sequence[ObjectTruth]) -> float | None:
    """Mean boundary IoU of the correct instances; None without any."""
    found: list[float] = []
    for one, result, truth in zip(judged, results, truths, strict=True):
        rles = truth.masks or ()  # of an image without objects there may be none
        found += [boundary_iou(result.bitmap(d).full(), masks.rle_bitmap(rles[g])) for d, g in one.pairs]
    return float(np.mean(found)) if found else None
