"""Panels of reports: a result or a truth drawn on its image, whole (`shown`) or a part of it (`crop`)."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from foveal.imaging.sources import load
from foveal.results import Result

UInt8Array = npt.NDArray[np.uint8]
SIDE_PX = 380  # the longer one, on a page
CROP_MARGIN = 0.6  # of an object's longer side, on each side
LEAST_CROP_PX = 64


def shown(path: Path, result: Result | None, *, side_px: int = SIDE_PX) -> UInt8Array:
    """The image, upright, with the result drawn on it, its longer side at most `side_px`."""
    rgb = load(path).rgb
    return smaller(rgb if result is None else result.overlay(rgb), side_px)


def crop(drawn: UInt8Array, box_xyxy: npt.NDArray[np.float32], *, side_px: int = SIDE_PX) -> UInt8Array:
    """A square around a box (continuous edges, px), cut at the image's border and scaled to `side_px`."""
    height, width = drawn.shape[:2]
    x1, y1, x2, y2 = (float(edge) for edge in box_xyxy)
    side = max((x2 - x1), (y2 - y1)) * (1 + 2 * CROP_MARGIN)
    half = max(side, LEAST_CROP_PX) / 2
    left, right = (round(np.clip((x1 + x2) / 2 + way * half, 0, width)) for way in (-1, 1))
    top, bottom = (round(np.clip((y1 + y2) / 2 + way * half, 0, height)) for way in (-1, 1))
    part = drawn[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = side_px / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8)


def smaller(rgb: UInt8Array, side_px: int) -> UInt8Array:
    """Scaled down to a longer side of at most `side_px`."""
    scale = side_px / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
