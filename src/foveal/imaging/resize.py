"""Resizing of images (`resize`) with the interpolations that vision frameworks use."""

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

UInt8Array = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

Interpolation = Literal["area", "bilinear", "pillow_bilinear", "pillow_bicubic"]
PILLOW = {"pillow_bilinear": Image.Resampling.BILINEAR, "pillow_bicubic": Image.Resampling.BICUBIC}


def resize(rgb: UInt8Array, size_hw: tuple[int, int], interpolation: Interpolation) -> UInt8Array:
    """Resize HWC uint8.

    Args:
        rgb: (H, W, 3) uint8.
        size_hw: height and width of the result.
        interpolation: area: axes that shrink are averaged, then axes that grow are interpolated linearly. bilinear:
            OpenCV's INTER_LINEAR (2 x 2 taps, aliases). pillow_bilinear, pillow_bicubic: Pillow's, bit for bit, whose
            support grows as the image shrinks (antialiased).

    OpenCV's INTER_AREA falls back to bilinear, aliasing, as soon as one axis grows: hence the two steps of `area`.
    """
    height, width = rgb.shape[:2]
    if interpolation in PILLOW:
        return resize_part(rgb, size_hw, interpolation, (0, 0, width, height))
    if interpolation == "area":
        small_hw = (min(height, size_hw[0]), min(width, size_hw[1]))
        if small_hw != (height, width):
            rgb = cv2.resize(rgb, small_hw[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        height, width = small_hw
    if (height, width) != tuple(size_hw):
        rgb = cv2.resize(rgb, size_hw[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return rgb


def resize_part(rgb: UInt8Array, size_hw: tuple[int, int], interpolation: Interpolation, box_xyxy: Box) -> UInt8Array:
    """Resize a part of an image with one of Pillow's filters, as a cut from the whole image resized.

    Args:
        rgb: (H, W, 3) uint8.
        size_hw: height and width of the result.
        interpolation: one of `PILLOW`.
        box_xyxy: the part, in pixels of `rgb`; pixels around it are read where the filter reaches them.
    """
    out = np.empty((*size_hw, 3), np.uint8)
    for channel in range(3):  # one at a time: Pillow would copy all of them, as four bytes a pixel
        plane = Image.fromarray(cv2.extractChannel(rgb, channel))
        out[..., channel] = np.asarray(plane.resize(size_hw[::-1], PILLOW[interpolation], box=box_xyxy))
    return out
