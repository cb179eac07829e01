"""Scores of class maps: IoU and Dice by class, pixel accuracy, boundary F-score. Streaming over images."""

import hashlib
import math
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from foveal.metrics.base import Figures, IntArray, Resampled, Scores, object_array
from foveal.metrics.bootstrap import bootstrapped
from foveal.tasks.semantic_segmentation import SemanticMap

IGNORE = 255  # in a truth map: belongs to no class and counts nowhere
BOUNDARY_TOLERANCE = 0.0075  # of the image's diagonal, as Csurka et al. and DAVIS take it
UInt8Array = npt.NDArray[np.uint8]


class TruthMap(Protocol):
    """The truth of one image, read when it is needed: a split of large maps never stands in memory at once."""

    def read(self) -> UInt8Array:
        """(H, W) uint8 class ids, IGNORE where nothing counts."""
        ...


def score_segmentation(results: Sequence[SemanticMap], truths: Sequence[TruthMap], labels: tuple[str, ...]) -> Scores:
    """Score N class maps at the images' original sizes.

    miou: mean over classes of intersection / union, counted over all images together (PASCAL VOC's definition). A
    class that is neither in any truth nor in any prediction has no IoU and is left out of the mean.
    dice: mean of 2 TP / (2 TP + FP + FN) over the same classes. pixel_accuracy: share of counted pixels that are right.
    boundary_f: mean over images and classes of the boundary F-score, see `boundary_f_score`.

    Args:
        results: N maps.
        truths: N maps of the same sizes.
        labels: C names.

    Returns:
        Scores; intervals are bootstrapped over images. `per_class` has iou, dice, recall and precision.
    """
    assert len(results) == len(truths) > 0
    matrices, boundaries = [], []
    for result, source in zip(results, truths, strict=True):
        truth = source.read()
        matrices.append(confusion(result.class_map, truth, len(labels)))
        boundaries += [f for f in boundary_f_scores(result.class_map, truth, len(labels)) if f is not None]
    counts = np.stack(matrices)
    total = counts.sum(axis=0)
    values = {"miou": mean_iou(total), "dice": _mean(dice(total)), "pixel_accuracy": pixel_accuracy(total)}
    values["boundary_f"] = float(np.mean(boundaries)) if boundaries else 0.0
    intervals = bootstrapped({"miou": lambda i: mean_iou(counts[i].sum(axis=0))}, len(results))
    ious, dices = iou(total), dice(total)
    per_class = {
        label: {
            "iou": _number(ious[k]),
            "dice": _number(dices[k]),
            "recall": _ratio(total[k, k], total[k].sum()),
            "precision": _ratio(total[k, k], total[:, k].sum()),
            "truth_share": _ratio(total[k].sum(), total.sum()),
        }
        for k, label in enumerate(labels)
    }
    return Scores(len(results), values, intervals, per_class, {"labels": labels, "confusion": total.tolist()})


def resampled_segmentation(
    results: Sequence[SemanticMap], truths: Sequence[TruthMap], labels: tuple[str, ...]
) -> Resampled:
    """miou, dice, pixel_accuracy and boundary_f of any draw of the images, and each label's IoU; arguments as above.

    An image's quality is its own mean IoU.
    """
    matrices, boundaries, answers = [], [], []
    for result, source in zip(results, truths, strict=True):
        truth = source.read()
        matrices.append(confusion(result.class_map, truth, len(labels)))
        own = [f for f in boundary_f_scores(result.class_map, truth, len(labels)) if f is not None]
        boundaries.append((sum(own), len(own)))
        answers.append(hashlib.sha256(result.class_map.tobytes()).hexdigest())
    counts, edges = np.stack(matrices), np.array(boundaries, np.float64)

    def figures(images: IntArray) -> Figures:
        total, (edge_sum, edge_count) = counts[images].sum(axis=0), edges[images].sum(axis=0)
        found: Figures = {("", "miou"): mean_iou(total), ("", "dice"): _mean(dice(total))}
        found |= {("", "pixel_accuracy"): pixel_accuracy(total), ("", "boundary_f"): _ratio(edge_sum, edge_count)}
        ious = iou(total)
        return found | {("label", labels[k]): float(ious[k]) for k in np.flatnonzero(np.isfinite(ious))}

    quality = np.array([mean_iou(each) for each in counts])
    return Resampled(len(results), figures, "IoU", quality, object_array(answers))


def confusion(predicted: UInt8Array, truth: UInt8Array, classes: int) -> IntArray:
    """(C, C) pixel counts, rows truth, columns prediction; pixels whose truth is IGNORE count nowhere."""
    assert predicted.shape == truth.shape
    counted = truth != IGNORE
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou(counts: IntArray) -> npt.NDArray[np.float64]:
    """(C,) intersection / union of each class; NaN where the class is in neither truth nor prediction."""
    hit = np.diag(counts).astype(np.float64)
    return _divided(hit, counts.sum(axis=0) + counts.sum(axis=1) - hit)


def dice(counts: IntArray) -> npt.NDArray[np.float64]:
    """(C,) 2 TP / (2 TP + FP + FN); NaN as for `iou`."""
    return _divided(2 * np.diag(counts).astype(np.float64), counts.sum(axis=0) + counts.sum(axis=1))


def mean_iou(counts: IntArray) -> float:
    """Mean of `iou` over the classes that have one."""
    return _mean(iou(counts))


def pixel_accuracy(counts: IntArray) -> float:
    """Share of counted pixels whose class is right."""
    return _ratio(np.trace(counts), counts.sum())


def boundary_f_scores(predicted: UInt8Array, truth: UInt8Array, classes: int) -> list[float | None]:
    """F-score of each class' boundary; None where neither map has one.

    A boundary pixel is a hit when the other map has a boundary of the same class within 0.75 % of the image's
    diagonal (at least one pixel). Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic
    segmentation?", BMVC 2013; tolerance as in Perazzi et al., "DAVIS", CVPR 2016. Boundaries against ignored pixels
    do not count.
    """
    reach = max(1, math.ceil(BOUNDARY_TOLERANCE * math.hypot(*truth.shape)))
    seen = ~_within(truth == IGNORE, reach)
    scores: list[float | None] = []
    for k in range(classes):
        found, wanted = (_boundary((m == k).astype(np.uint8)) & seen for m in (predicted, truth))
        if not found.any() and not wanted.any():
            scores.append(None)
            continue
        precision = _ratio(int(np.count_nonzero(found & _within(wanted, reach))), int(np.count_nonzero(found)))
        recall = _ratio(int(np.count_nonzero(wanted & _within(found, reach))), int(np.count_nonzero(wanted)))
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return scores


def _within(marked: npt.NDArray[np.bool_], reach_px: int) -> npt.NDArray[np.bool_]:
    """Pixels whose centre is at most `reach_px` from a marked one's.

    A distance transform costs the same for any reach; at 24 megapixels it takes a ninth of dilation by the disc.
    """
    if not marked.any():
        return np.zeros_like(marked)
    distance = cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near: npt.NDArray[np.bool_] = distance < reach_px + 1e-3  # float32 roots; distances next to a whole one are farther
    return near


def _boundary(mask: UInt8Array) -> npt.NDArray[np.bool_]:
    """Pixels of the mask that touch, by a side, a pixel outside it; the image's border is no boundary."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge: npt.NDArray[np.bool_] = (mask > 0) & (cv2.erode(mask, cross, borderType=cv2.BORDER_REPLICATE) == 0)
    return edge


def _divided(above: npt.NDArray[np.float64], below: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result = np.full(len(above), np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _number(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
