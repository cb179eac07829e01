"""Box IoU (`box_iou`) and greedy non-maximum suppression (`nms`) as torchvision computes them, without torch.

Boxes are x1, y1, x2, y2 with continuous edges. NMS is the textbook method (sort by score; a box goes when it overlaps a
kept, better one of its class too much), class by class. What makes it fast in NumPy is the order of work: boxes are
resolved in blocks, so that nearly all comparisons happen in a few large array operations, and it stops as soon as
`limit` boxes are kept.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

BLOCK = 64  # boxes resolved against each other in Python before they clear the rest in one array operation


def box_iou(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """Intersection over union (Jaccard, 1901) of every box of a (A, 4) with every box of b (B, 4).

    Returns:
        (A, B) in [0, 1], float32 or float64 as the boxes; 0 where both boxes are without area.
    """
    iou = _iou(a_xyxy.T, b_xyxy.T)
    iou[np.isnan(iou)] = 0
    return iou


def nms(
    boxes_xyxy: FloatArray,
    scores: FloatArray,
    class_ids: IntArray,
    iou_threshold: float,
    *,
    limit: int | None = None,
) -> IntArray:
    """Indices of the boxes that stay, by descending score; equal scores keep the order in which they came.

    Args:
        boxes_xyxy: (N, 4) float32, continuous edges.
        scores: (N,) float32.
        class_ids: (N,) int64; boxes of different classes never suppress each other.
        iou_threshold: a box goes when its IoU with a kept one is GREATER than this (float32 IoU, as torchvision).
        limit: keep at most so many; the work is then bounded by limit x N overlaps a class.
    """
    order = np.argsort(-scores, kind="stable")
    columns = boxes_xyxy.astype(np.float32, copy=False).T[:, order]  # (4, N): each edge contiguous
    classes = class_ids[order]
    threshold = _float32_at_most(iou_threshold)
    kept = [_greedy(columns, np.flatnonzero(classes == c), threshold, limit) for c in np.unique(classes)]
    survivors = np.sort(np.concatenate([np.empty(0, np.int64), *kept]))  # positions in `order`: best first again
    best: IntArray = order[survivors[:limit]]
    return best


def _greedy(columns: FloatArray, remaining: IntArray, threshold: np.float32, limit: int | None) -> IntArray:
    """NMS within one class; `remaining` are column positions, best first."""
    kept: list[IntArray] = []
    count = 0
    while remaining.size and (limit is None or count < limit):
        block, rest = remaining[:BLOCK], remaining[BLOCK:]
        clash = _overlap(columns[:, block], columns[:, block], threshold)
        alive = np.ones(len(block), bool)
        for i in range(len(block) - 1):
            if alive[i]:
                alive[i + 1 :] &= ~clash[i, i + 1 :]
        winners = block[alive]
        kept.append(winners)
        count += len(winners)
        remaining = rest[~_overlap(columns[:, winners], columns[:, rest], threshold).any(axis=0)]
    return np.concatenate(kept)


def _overlap(a: FloatArray, b: FloatArray, threshold: np.float32) -> npt.NDArray[np.bool_]:
    """(4, A), (4, B) -> (A, B): is IoU > threshold? Boxes without area overlap nothing: NaN > threshold is False."""
    greater: npt.NDArray[np.bool_] = _iou(a, b) > threshold
    return greater


def _iou(a: Floats, b: Floats) -> Floats:
    """(4, A), (4, B), each edge a row -> (A, B); NaN (0 / 0) where both boxes are without area."""
    inter: Floats = np.minimum(a[2, :, None], b[2]) - np.maximum(a[0, :, None], b[0])
    np.maximum(inter, 0, out=inter)
    tall = np.minimum(a[3, :, None], b[3]) - np.maximum(a[1, :, None], b[1])
    np.maximum(tall, 0, out=tall)
    inter *= tall
    union = ((a[2] - a[0]) * (a[3] - a[1]))[:, None] + (b[2] - b[0]) * (b[3] - b[1])
    union -= inter
    with np.errstate(divide="ignore", invalid="ignore"):
        inter /= union
    return inter


def _float32_at_most(value: float) -> np.float32:
    """The largest float32 <= value: float32 IoU > it exactly when IoU > value in double, which torchvision compares."""
    rounded = np.float32(value)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > value else rounded
