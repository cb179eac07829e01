"""Errors of a detector at one score threshold: kinds of errors, counting errors, quality of outlines.

Kinds of errors are those of TIDE (Bolya et al., ECCV 2020, section 2.2; the idea is Hoiem et al., ECCV 2012), counted
instead of weighted. A detection that is not right has exactly one kind; IoU >= 0.5 finds an object, < 0.1 sees none:
    localisation    right class, IoU 0.1 to 0.5
    classification  finds an object of another class
    duplicate       finds an object that a better detection has already found
    background      touches no object (IoU < 0.1)
    both            wrong class and loose: what is left
    missed          an object that no detection found, nor found loosely or under another class
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.imaging import masks
from foveal.metrics.coco import Kind, xywh
from foveal.metrics.truth import ObjectTruth
from foveal.tasks.detections import Detections

FOUND_IOU = 0.5
BACKGROUND_IOU = 0.1
KINDS = ("correct", "localisation", "classification", "duplicate", "background", "both", "missed")

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One image's detections above the confidence, each with its kind, and the objects that were missed."""

    kinds: dict[int, str]  # detection -> kind; those on crowds are left out
    pairs: tuple[tuple[int, int], ...]  # (detection, object) of the correct ones
    missed: tuple[int, ...]  # objects


def judge(result: Detections, truth: ObjectTruth, score_threshold: float, kind: Kind) -> Judged:
    """Match greedily, best score first, each to the free object of its class with the highest IoU; then name errors."""
    chosen = np.flatnonzero(result.scores > score_threshold)
    overlaps = _overlaps(result, chosen, truth, kind)  # (D, G)
    counting = ~truth.crowd
    same = result.class_ids[chosen, None] == truth.class_ids[None]
    pairs, taken = _match(overlaps, same & counting)
    kinds: dict[int, str] = {}
    explained = taken.copy()  # objects that some detection at least came near to
    for row, detection in enumerate(chosen.tolist()):
        if row in pairs:
            kinds[detection] = "correct"
        elif not (overlaps[row] >= FOUND_IOU)[same[row] & ~counting].any():
            name, near = _kind(np.where(counting, overlaps[row], 0.0), same[row])
            kinds[detection] = name
            if near is not None:
                explained[near] = True
    missed = np.flatnonzero(counting & ~explained)
    return Judged(kinds, tuple((int(chosen[d]), g) for d, g in pairs.items()), tuple(missed.tolist()))


def _match(overlaps: FloatArray, allowed: npt.NDArray[np.bool_]) -> tuple[dict[int, int], npt.NDArray[np.bool_]]:
    """Row -> column of IoU >= FOUND_IOU, one to one, rows in order; and which columns are taken."""
    pairs: dict[int, int] = {}
    taken = np.zeros(overlaps.shape[1], bool)
    for row in range(len(overlaps)):
        free = np.where(allowed[row] & ~taken, overlaps[row], 0.0)
        if free.size and free.max() >= FOUND_IOU:
            pairs[row] = int(free.argmax())
            taken[pairs[row]] = True
    return pairs, taken


def _kind(overlaps: FloatArray, same: npt.NDArray[np.bool_]) -> tuple[str, int | None]:
    """The error of one unmatched detection, and the object that it nearly found; in TIDE's order of tests."""
    own, other = np.where(same, overlaps, 0.0), np.where(same, 0.0, overlaps)
    if BACKGROUND_IOU <= own.max(initial=0.0) < FOUND_IOU:
        return "localisation", int(own.argmax())
    if other.max(initial=0.0) >= FOUND_IOU:
        return "classification", int(other.argmax())
    if own.max(initial=0.0) >= FOUND_IOU:
        return "duplicate", None
    return ("background" if overlaps.max(initial=0.0) < BACKGROUND_IOU else "both"), None


def _overlaps(result: Detections, chosen: npt.NDArray[np.intp], truth: ObjectTruth, kind: Kind) -> FloatArray:
    """(D, G) IoU as COCO measures it (against a crowd: the share of the detection that lies in it)."""
    if not len(chosen) or not len(truth):
        return np.zeros((len(chosen), len(truth)))
    crowd = truth.crowd.astype(np.uint8)
    if kind == "bbox":
        found = np.array([xywh(box) for box in result.boxes_xyxy[chosen]])
        return np.asarray(coco_mask.iou(found, np.array([xywh(box) for box in truth.boxes_xyxy]), crowd))
    assert truth.masks is not None, "segm needs truths with masks"
    rles = [masks.rle(result.bitmap(int(i))) for i in chosen]
    return np.asarray(coco_mask.iou(rles, list(truth.masks), crowd))


def error_table(
    judged: Sequence[Judged], results: Sequence[Detections], truths: Sequence[ObjectTruth], labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Label -> kind -> count; detections under their own class, missed objects under theirs. "all" sums up."""
    table = {label: dict.fromkeys(KINDS, 0) for label in ("all", *labels)}
    for one, result, truth in zip(judged, results, truths, strict=True):
        named = [(result.class_ids[i], kind) for i, kind in one.kinds.items()]
        for class_id, kind in [*named, *((truth.class_ids[i], "missed") for i in one.missed)]:
            table["all"][kind] += 1
            table[labels[int(class_id)]][kind] += 1
    return table


def count_error(
    results: Sequence[Detections], truths: Sequence[ObjectTruth], score_threshold: float
) -> dict[str, float]:
    """How wrong the number of objects in an image is, crowds not counted.

    Returns:
        mean_absolute: mean over images of |found - true|, in objects. mean_signed: the same with its sign (positive:
        too many). relative: sum of |found - true| over the sum of true, left out when nothing is there to be counted.
    """
    found = np.array([np.count_nonzero(result.scores > score_threshold) for result in results])
    true = np.array([np.count_nonzero(~truth.crowd) for truth in truths])
    off = found - true
    errors = {"mean_absolute": float(np.abs(off).mean()), "mean_signed": float(off.mean())}
    if true.sum():
        errors["relative"] = float(np.abs(off).sum() / true.sum())
    return errors


def object_confusion(
    results: Sequence[Detections], truths: Sequence[ObjectTruth], score_threshold: float, kind: Kind, classes: int
) -> npt.NDArray[np.int64]:
    """(C + 1, C + 1) counts, rows truth, columns prediction; the last of each is nothing: missed, and found in vain.

    Objects are matched whatever their class: best score first, each to the free object with the highest IoU, at least
    `FOUND_IOU`, of its own class where there is one. Detections on crowds of their class are left out.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for result, truth in zip(results, truths, strict=True):
        chosen = np.flatnonzero(result.scores > score_threshold)
        overlaps = _overlaps(result, chosen, truth, kind)
        same = result.class_ids[chosen, None] == truth.class_ids[None]
        free = np.broadcast_to(~truth.crowd, overlaps.shape)
        pairs, taken = _match(overlaps, same & free)
        others, _ = _match(overlaps, free & ~taken & ~np.isin(np.arange(len(chosen)), list(pairs))[:, None])
        pairs |= others
        for row, column in pairs.items():
            counts[truth.class_ids[column], result.class_ids[chosen[row]]] += 1
        on_crowd = (overlaps >= FOUND_IOU) & same & truth.crowd
        for row in set(range(len(chosen))) - set(pairs):
            if not on_crowd[row].any():
                counts[classes, result.class_ids[chosen[row]]] += 1
        for column in set(np.flatnonzero(~truth.crowd).tolist()) - set(pairs.values()):
            counts[truth.class_ids[column], classes] += 1
    return counts


def pair_ious(judged: Judged, result: Detections, truth: ObjectTruth) -> list[float]:
    """Mask IoU of each correct detection with its object."""
    if not judged.pairs:
        return []
    assert truth.masks is not None, "expected truths with masks"
    found = [masks.rle(result.bitmap(d)) for d, _ in judged.pairs]
    wanted = [truth.masks[g] for _, g in judged.pairs]
    overlaps = np.asarray(coco_mask.iou(found, wanted, np.zeros(len(wanted), np.uint8)))
    return [float(value) for value in overlaps.diagonal()]
