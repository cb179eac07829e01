"""Anchors in NumPy: anchor-based detection as one file to read, and an oracle for the tensor code of training.

A detector with anchors answers, at every position of a feature map and for a few boxes of fixed shape put there (the
anchors), two questions: is there an object, of which class; and by how much must the anchor move and stretch to fit it?
This file is about the boxes, in the order in which they come up:

    1. `cell_anchors`, `grid_anchors`     which anchors there are
    2. `imaging.boxes.box_iou`, `assign`  which anchor learns which object
    3. `encode`, `decode`                 what "move and stretch" means in numbers
    4. `imaging.boxes.nms`                many anchors find the same object: keep one

Networks and losses are torchvision's; tests hold these functions and torchvision's to the same numbers. Boxes are
x1, y1, x2, y2 in pixels, continuous edges; arrays are float64 or float32 and keep their type.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

BACKGROUND = -1  # matches no object: its target is "no object"
BETWEEN = -2  # overlap between the two thresholds: not in the loss
MAX_LOG_STRETCH = math.log(1000 / 16)  # decode: no box grows more than 62.5-fold, whatever a network outputs


def cell_anchors(sizes_px: Sequence[float], ratios: Sequence[float]) -> Array:
    """The anchors of one position, centred on (0, 0): every size with every ratio, n x m boxes.

    A ratio is height / width, and an anchor of size s has the area s * s whatever its ratio, so that
    width = s / sqrt(ratio), height = s * sqrt(ratio). Faster R-CNN (Ren et al., NeurIPS 2015) takes all combinations.

    Returns:
        (len(ratios) * len(sizes_px), 4) float64, ratios outermost.
    """
    root = np.sqrt(np.asarray(ratios, np.float64))[:, None]
    sizes = np.asarray(sizes_px, np.float64)[None, :]
    width, height = (sizes / root).ravel(), (sizes * root).ravel()
    cell: Array = np.stack((-width, -height, width, height), 1) / 2
    return cell


def cell_anchors_sparse(sizes_px: Sequence[float], ratios: Sequence[float]) -> Array:
    """The n + m - 1 combinations that hold the first size or the first ratio: most of the use for fewer boxes.

    With n sizes and m ratios all n * m combinations cost n * m predictions a position; since an object that is both
    unusually large and unusually long is rare, SSD (Liu et al., ECCV 2016) and its descendants pair only
    (s1, r1), (s1, r2), …, (s1, rm), (s2, r1), …, (sn, r1).

    Returns:
        (len(sizes_px) + len(ratios) - 1, 4) float64.
    """
    first_size = cell_anchors(sizes_px[:1], ratios)
    first_ratio = cell_anchors(sizes_px[1:], ratios[:1])
    return np.concatenate((first_size, first_ratio))


def grid_anchors(cell: Array, grid_hw: tuple[int, int], stride_px: int) -> Array:
    """A position's anchors, laid on every position of a feature map; position (row, col) is at (col, row) * stride_px.

    Returns:
        (rows * columns * len(cell), 4), row by row, a position's anchors together: the order of a network's outputs.
    """
    y, x = np.meshgrid(np.arange(grid_hw[0]) * stride_px, np.arange(grid_hw[1]) * stride_px, indexing="ij")
    shifts = np.stack((x, y, x, y), -1).reshape(-1, 1, 4)
    grid: Array = (shifts + cell[None]).reshape(-1, 4)
    return grid


def assign(overlaps: Array, *, positive: float, negative: float, every_object: bool) -> IntArray:
    """Which object each anchor learns: the one it overlaps most, if it overlaps enough.

    Args:
        overlaps: (objects, anchors) IoU.
        positive: from this IoU on an anchor belongs to its best object (RPN: 0.7, RetinaNet and SSD: 0.5).
        negative: below it an anchor is background; between the two it is left out (RPN: 0.3, RetinaNet: 0.4).
        every_object: an object that no anchor overlaps enough takes the anchors that overlap it most, ties included
            (Faster R-CNN, section 3.1.2), as long as they overlap at all better than any other.

    Returns:
        (anchors,) index of the object, BACKGROUND or BETWEEN.
    """
    if overlaps.shape[0] == 0:
        return np.full(overlaps.shape[1], BACKGROUND, np.int64)
    best, best_object = overlaps.max(0), overlaps.argmax(0)
    matches = np.where(best >= positive, best_object, np.where(best >= negative, BETWEEN, BACKGROUND))
    if every_object:
        _, rescued = np.nonzero(overlaps == overlaps.max(1, keepdims=True))
        matches[rescued] = best_object[rescued]
    return matches.astype(np.int64)


def encode(boxes: Array, anchors: Array, weights: Sequence[float] = (1, 1, 1, 1)) -> Array:
    """A network's target, with which `decode` gives `boxes`: R-CNN's offsets (Girshick et al., CVPR 2014).

    The centre moves in units of the anchor's size, and sizes are compared as logarithms, so that the same numbers mean
    the same for small and large objects. `weights` (x, y, w, h) bring the offsets to about unit variance, as a
    network's last layer likes it: Faster R-CNN's second stage uses 10, 10, 5, 5.

    Returns:
        (N, 4) = (dx, dy, dw, dh).
    """
    centre, size = _centre_size(boxes)
    anchor_centre, anchor_size = _centre_size(anchors)
    offsets = np.concatenate(((centre - anchor_centre) / anchor_size, np.log(size / anchor_size)), -1)
    weighted: Array = offsets * np.asarray(weights, offsets.dtype)
    return weighted


def decode(offsets: Array, anchors: Array, weights: Sequence[float] = (1, 1, 1, 1)) -> Array:
    """Move and stretch anchors by a network's offsets; the inverse of `encode` up to the limit on growth.

    Returns:
        (N, 4) boxes, not clipped to the image.
    """
    offsets = offsets / np.asarray(weights, offsets.dtype)
    anchor_centre, anchor_size = _centre_size(anchors)
    centre = offsets[..., :2] * anchor_size + anchor_centre
    size = np.exp(np.minimum(offsets[..., 2:], MAX_LOG_STRETCH)) * anchor_size
    boxes: Array = np.concatenate((centre - size / 2, centre + size / 2), -1)
    return boxes


def _centre_size(boxes: Array) -> tuple[Array, Array]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
