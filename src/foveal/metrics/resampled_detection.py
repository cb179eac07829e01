"""Scores of detectors for any draw of images (`resampled_detection`, `resampled_instances`), for paired comparisons."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from pycocotools.cocoeval import COCOeval

from foveal.metrics import coco
from foveal.metrics.base import Figures, IntArray, Resampled, object_array
from foveal.metrics.coco import COCO_RECALLS, ClassMatches, Kind
from foveal.metrics.detection_errors import judge
from foveal.metrics.truth import ObjectTruth
from foveal.tasks.detections import Detections

FloatArray = npt.NDArray[np.float64]
SIZES = ("small", "medium", "large")  # COCO's: below 32² px, below 96² px, the rest
AP50_AT, AP75_AT = 0, 5  # among the ten IoU thresholds


@dataclass(frozen=True)
class Curve:
    """What was matched of one class, or of all, sorted by falling score; `matches` of pycocotools."""

    scores: FloatArray  # (D,)
    image_index: IntArray  # (D,)
    hit: npt.NDArray[np.bool_]  # (T, D)
    counted: npt.NDArray[np.bool_]  # (T, D) not on a crowd
    objects: IntArray  # (I,)

    @classmethod
    def of(cls, matches: Sequence[ClassMatches], thresholds: slice = slice(None)) -> "Curve":
        """Of some classes together, at some of the IoU thresholds."""
        scores = np.concatenate([m.scores for m in matches])
        order = np.argsort(-scores, kind="mergesort")
        return cls(
            scores[order],
            np.concatenate([m.image_index for m in matches])[order],
            np.concatenate([m.hit[thresholds] for m in matches], axis=1)[:, order],
            ~np.concatenate([m.ignored[thresholds] for m in matches], axis=1)[:, order],
            np.sum([m.objects for m in matches], axis=0),
        )

    def weighed(self, times: IntArray) -> tuple[IntArray, IntArray, int]:
        """Right (T, D) and counted detections (T, D) down to each, and objects, where image i is there times[i] times.

        A weight does what repeats of a row would: between them neither recall nor the falling precision changes.
        """
        weight = times[self.image_index]
        right = np.cumsum(self.hit * weight, axis=1)
        return right, np.cumsum(self.counted * weight, axis=1), int(self.objects @ times)

    def average_precisions(self, times: IntArray) -> tuple[FloatArray, FloatArray] | None:
        """AP (T,) and highest recall (T,); None without objects."""
        right, counted, objects = self.weighed(times)
        if not objects:
            return None
        if not right.shape[1]:
            return np.zeros(len(right)), np.zeros(len(right))
        falling = np.maximum.accumulate((right / np.maximum(counted, 1))[:, ::-1], axis=1)[:, ::-1]
        falling = np.concatenate([falling, np.zeros((len(right), 1))], axis=1)
        recall = right / objects
        read = [row[np.searchsorted(own, COCO_RECALLS, side="left")] for row, own in zip(falling, recall, strict=True)]
        return np.mean(read, axis=1), recall[:, -1]

    def best_f1(self, times: IntArray) -> float:
        """The highest F1 that one confidence gives, at the first threshold."""
        right, counted, objects = self.weighed(times)
        cuts = np.flatnonzero(self.scores > np.append(self.scores[1:], 0.0))
        if not len(cuts) or not objects:
            return 0.0
        return float((2 * right[0, cuts] / np.maximum(counted[0, cuts] + objects, 1)).max())


def resampled_detection(
    results: Sequence[Detections],
    truths: Sequence[ObjectTruth],
    labels: tuple[str, ...],
    *,
    score_threshold: float = 0.5,
) -> Resampled:
    """AP50, AP, AP75, AR_100 and best_f1 of the boxes, for any draw of the images; AP50 of labels and sizes.

    Args:
        results: with a score threshold near 0.
        truths: one an image.
        labels: the classes.
        score_threshold: what the model is used with: an image's quality is F1 of its detections above it, at IoU 0.5.
    """
    return _resampled(results, truths, labels, "bbox", score_threshold)


def resampled_instances(
    results: Sequence[Detections],
    truths: Sequence[ObjectTruth],
    labels: tuple[str, ...],
    *,
    score_threshold: float = 0.5,
) -> Resampled:
    """As `resampled_detection`, measured on masks; also box_AP50 and box_AP."""
    of_masks = _resampled(results, truths, labels, "segm", score_threshold)
    boxes = _per_class(_run(results, truths, labels, "bbox"), len(labels))

    def figures(images: IntArray) -> Figures:
        own = of_masks.figures(images)
        found = _headline(boxes, np.bincount(images, minlength=len(results)))
        return own | {("", f"box_{name}"): found["", name] for name in ("AP50", "AP") if ("", name) in found}

    return replace(of_masks, figures=figures)


def _resampled(
    results: Sequence[Detections],
    truths: Sequence[ObjectTruth],
    labels: tuple[str, ...],
    kind: Kind,
    score_threshold: float,
) -> Resampled:
    run = _run(results, truths, labels, kind)
    classes = _per_class(run, len(labels))
    pooled = Curve.of([coco.class_matches(run, k) for k in range(len(labels))], slice(1))
    sizes = {
        name: [Curve.of([coco.class_matches(run, k, area=1 + i)], slice(1)) for k in range(len(labels))]
        for i, name in enumerate(SIZES)
    }

    def figures(images: IntArray) -> Figures:
        times = np.bincount(images, minlength=len(results))
        found = _headline(classes, times) | {("", "best_f1"): pooled.best_f1(times)}
        for label, curve in zip(labels, classes, strict=True):
            if (own := curve.average_precisions(times)) is not None:
                found["label", label] = float(own[0][AP50_AT])
        for name, curves in sizes.items():
            if of_size := [own[0][0] for curve in curves if (own := curve.average_precisions(times)) is not None]:
                found["size", name] = float(np.mean(of_size))
        return found

    at_50 = [Curve.of([coco.class_matches(run, k)], slice(1)) for k in range(len(labels))]
    quality = [_f1(r, t, score_threshold, kind) for r, t in zip(results, truths, strict=True)]
    answers = object_array([_digest(r) for r in results])
    alone = {"AP50": partial(resampled_ap50, at_50)}
    return Resampled(len(results), figures, "AP50", np.array(quality), answers, alone)


def resampled_ap50(classes: Sequence[Curve], images: IntArray) -> float:
    """AP50 over a draw of the images; classes without objects in it do not count. Curves of the first threshold."""
    times = np.bincount(images, minlength=len(classes[0].objects))
    found = [own[0][AP50_AT] for curve in classes if (own := curve.average_precisions(times)) is not None]
    return float(np.mean(found)) if found else 0.0


def _run(results: Sequence[Detections], truths: Sequence[ObjectTruth], labels: tuple[str, ...], kind: Kind) -> COCOeval:
    return coco.evaluate(coco.truth_dataset(truths, labels, kind), coco.result_rows(results, kind), kind)


def _per_class(run: COCOeval, classes: int) -> list[Curve]:
    return [Curve.of([coco.class_matches(run, k)]) for k in range(classes)]


def _headline(classes: Sequence[Curve], times: IntArray) -> Figures:
    """Means over the classes that have objects."""
    rows = [own for curve in classes if (own := curve.average_precisions(times)) is not None]
    if not rows:
        return {}
    precision, recall = (np.mean([row[i] for row in rows], axis=0) for i in (0, 1))
    return {
        ("", "AP50"): float(precision[AP50_AT]),
        ("", "AP"): float(precision.mean()),
        ("", "AP75"): float(precision[AP75_AT]),
        ("", "AR_100"): float(recall.mean()),
    }


def _f1(result: Detections, truth: ObjectTruth, score_threshold: float, kind: Kind) -> float:
    """Of one image; 1 where there is nothing and nothing was found."""
    judged = judge(result, truth, score_threshold, kind)
    both = len(judged.kinds) + int(np.count_nonzero(~truth.crowd))
    return 2 * len(judged.pairs) / both if both else 1.0


def _digest(result: Detections) -> str:
    parts = (result.boxes_xyxy.tobytes(), result.scores.tobytes(), result.class_ids.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()
