"""Panels of contact sheets (`Panel`): an image with its truth drawn on it, and a caption."""

import numpy as np
import numpy.typing as npt

from foveal.imaging.drawing import colour_of

UInt8Array = npt.NDArray[np.uint8]
Panel = tuple[UInt8Array, str]  # (H, W, 3) RGB and a caption
OPACITY = 0.5
SHEET_PX = 230  # side of a panel on a contact sheet
LINE_PX = 2  # of boxes, on the sheet


def line_px(rgb: UInt8Array) -> int:
    """Width of lines on a panel (H, W, 3) that is made smaller for a contact sheet, so that they can still be seen."""
    longest: int = max(rgb.shape[:2])
    return max(1, round(LINE_PX * longest / SHEET_PX))


def tint(rgb: UInt8Array, where: npt.NDArray[np.bool_], class_id: int) -> None:
    """Blend the pixels of `where` (H, W) with the class' colour, in place."""
    rgb[where] = (rgb[where] * (1 - OPACITY) + np.array(colour_of(class_id)) * OPACITY).astype(np.uint8)
