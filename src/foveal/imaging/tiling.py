"""Sliding windows (`Window`): a large image is predicted in overlapping parts, so that it keeps its detail.

Each window is treated as if it were an image. Near its border a network sees too little around a pixel, so windows
overlap by a quarter of their side, and each pixel of the answer comes from the window in which it lies deepest: the
seam runs along the middle of the overlap. Nothing is blended, so the answer needs one map, whatever the overlap.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from foveal.errors import BadRequest
from foveal.imaging.decode import Decoded

OVERLAP = 0.25  # of a window's side, at least
MAX_WINDOWS = 256  # bounds what one request can cost: memory for the model inputs, and time


@dataclass(frozen=True)
class Span:
    """One axis of a window, in pixels of the image: what is shown, and the part of it that is kept."""

    start: int
    stop: int
    kept_start: int
    kept_stop: int


@dataclass(frozen=True)
class Window:
    """A part of an image. The kept parts of all windows cover each pixel exactly once."""

    rows: Span
    columns: Span

    def cut(self, image: Decoded) -> Decoded:
        """What the window shows; `image` is decoded in full."""
        assert image.rgb.shape[:2] == image.image_hw
        return Decoded.of_array(image.rgb[self.rows.start : self.rows.stop, self.columns.start : self.columns.stop])

    def paste(self, part: npt.NDArray[np.uint8], whole: npt.NDArray[np.uint8]) -> None:
        """Copy the kept part of the window's map (h, w) to its place in the image's (H, W)."""
        rows, columns = self.rows, self.columns
        whole[rows.kept_start : rows.kept_stop, columns.kept_start : columns.kept_stop] = part[
            rows.kept_start - rows.start : rows.kept_stop - rows.start,
            columns.kept_start - columns.start : columns.kept_stop - columns.start,
        ]


def windows_over(image_hw: tuple[int, int], side: int) -> tuple[Window, ...]:
    """Windows of `side` px (less where the image is smaller), row by row, evenly spread over the image.

    Raises:
        BadRequest: more than MAX_WINDOWS; the message says which side would do.
    """
    rows, columns = (_spans(length, side) for length in image_hw)
    if len(rows) * len(columns) > MAX_WINDOWS:
        enough = side
        while math.prod(len(_spans(length, enough)) for length in image_hw) > MAX_WINDOWS:
            enough += 32
        raise BadRequest(
            f"parameter 'tile': expected at least {enough} for an image of {image_hw[1]} x {image_hw[0]} pixels "
            f"(at most {MAX_WINDOWS} windows), got {side}"
        )
    return tuple(Window(row, column) for row in rows for column in columns)


def _spans(length: int, side: int) -> list[Span]:
    if length <= side:
        return [Span(0, length, 0, length)]
    step = side - math.ceil(OVERLAP * side)
    count = 1 + math.ceil((length - side) / step)
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    seams = [(start + before + side) // 2 for before, start in pairwise(starts)]
    bounds = [0, *seams, length]
    return [Span(start, start + side, bounds[i], bounds[i + 1]) for i, start in enumerate(starts)]
