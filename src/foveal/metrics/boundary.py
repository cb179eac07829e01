"""Boundary IoU (Cheng et al., CVPR 2021): overlap of the rims of two masks.

Mask IoU hardly sees the ragged outline of a large object; this does.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

RIM_OF_DIAGONAL = 0.02  # the paper's width of a rim, as a fraction of the image's diagonal


def boundary_iou(first: UInt8Array, second: UInt8Array, *, rim_px: int | None = None) -> float:
    """IoU of two rims: the pixels of each mask within `rim_px` of its outline.

    Args:
        first: (H, W) of 0 and 1.
        second: of the same shape.
        rim_px: width of a rim, at least 1; None: 2 % of the image's diagonal, as in the paper. When it is wider than
            the object, this is mask IoU.

    Returns:
        In [0, 1]; 1 when both masks are empty.
    """
    if rim_px is None:
        rim_px = max(1, round(RIM_OF_DIAGONAL * float(np.hypot(*first.shape))))
    box = cv2.boundingRect(first | second)  # nothing outside it can be a rim
    a, b = (_rim(_crop(mask, box), rim_px) for mask in (first, second))
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _crop(mask: UInt8Array, box: Sequence[int]) -> UInt8Array:
    x, y, width, height = box
    return mask[y : y + height, x : x + width]


def _rim(mask: UInt8Array, rim_px: int) -> UInt8Array:
    """The mask less its erosion; what touches the crop's border is rim, as in the paper's code."""
    if mask.size == 0:
        return mask
    padded = np.pad(mask, 1)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=rim_px)[1:-1, 1:-1]
    rim: UInt8Array = mask - inner.astype(np.uint8)
    return rim
