"""Masks of instances (`InstanceMasks`, `PrototypeMasks`): kept small, made into pixels one at a time."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from foveal.imaging.masks import Bitmap, paste
from foveal.imaging.preprocess import ImageTransform
from foveal.results import FloatArray, IntArray, expect, values_equal

CERTAIN_CELLS = 32  # with so many positive cells near its box, a mask has pixels


class Masks(Protocol):
    """Masks of N instances. Full-size bitmaps of a crowded image would fill gigabytes."""

    def __len__(self) -> int:
        """N."""
        ...

    def chosen(self, rows: IntArray) -> "Masks":
        """Those of some instances."""
        ...

    def bitmap(self, index: int, box_xyxy: FloatArray, image_hw: tuple[int, int]) -> Bitmap:
        """The pixels of one, in its box."""
        ...


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """Masks of N instances, as the soft 28 x 28 (any m x m) outputs of Mask R-CNN."""

    soft: FloatArray  # (N, m, m) probabilities in [0, 1], in the box of the same index

    def __post_init__(self) -> None:
        expect(
            self.soft.ndim == 3 and self.soft.dtype == np.float32, f"soft: expected (N, m, m), got {self.soft.shape}"
        )

    def __len__(self) -> int:
        return len(self.soft)

    def __eq__(self, other: object) -> bool:
        return values_equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def chosen(self, rows: IntArray) -> "InstanceMasks":
        """Those of some instances."""
        return InstanceMasks(self.soft[rows])

    def bitmap(self, index: int, box_xyxy: FloatArray, image_hw: tuple[int, int]) -> Bitmap:
        """As `foveal.imaging.masks.paste`."""
        return paste(self.soft[index], box_xyxy, image_hw)


@dataclass(frozen=True, eq=False)
class PrototypeMasks:
    """Masks of N instances as coefficients of prototypes that they share (YOLACT: Bolya et al., ICCV 2019).

    A mask's logits are the sum of the prototypes, each times its coefficient; they are enlarged to the image's pixels
    and positive ones inside the box are the mask, as Ultralytics does with `retina_masks=True`.
    """

    coefficients: FloatArray  # (N, k)
    prototypes: FloatArray  # (k, h, w), over the whole model input
    transform: ImageTransform

    def __post_init__(self) -> None:
        expected = (len(self.coefficients), len(self.prototypes))
        got = self.coefficients.shape
        expect(self.prototypes.ndim == 3 and got == expected, f"coefficients: expected {expected}, got {got}")

    def __len__(self) -> int:
        return len(self.coefficients)

    def __eq__(self, other: object) -> bool:
        return values_equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def chosen(self, rows: IntArray) -> "PrototypeMasks":
        """Those of some instances; the prototypes are shared."""
        return PrototypeMasks(self.coefficients[rows], self.prototypes, self.transform)

    def bitmap(self, index: int, box_xyxy: FloatArray, image_hw: tuple[int, int]) -> Bitmap:
        """Pixels whose index lies in the box and whose logit, interpolated linearly, is positive.

        Prototypes are enlarged until the content begins and ends at whole cells, cut to it, and enlarged to the image.
        """
        left, top, right, bottom = (int(np.ceil(edge)) for edge in box_xyxy)
        height, width = max(bottom - top, 0), max(right - left, 0)
        if not height or not width:
            return Bitmap(np.zeros((height, width), np.uint8), top, left, image_hw)
        logits = np.tensordot(self.coefficients[index], self.prototypes, axes=1)
        logits = self._enlarged(logits, 0, np.arange(top, bottom))
        logits = self._enlarged(logits, 1, np.arange(left, right))
        return Bitmap((logits > 0).view(np.uint8), top, left, image_hw)

    def visible(self, boxes_xyxy: FloatArray, image_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """(N,): which masks have a pixel. Ultralytics drops objects without."""
        found = np.zeros(len(self), bool)
        for i, box in enumerate(boxes_xyxy):
            x1, y1, x2, y2 = self.transform.to_input(box) * self._cells_a_pixel() + (-1, -1, 1, 1)
            near = self.prototypes[:, max(0, int(y1)) : int(y2) + 1, max(0, int(x1)) : int(x2) + 1]
            positive = int((np.tensordot(self.coefficients[i], near, axes=1) > 0).sum())
            found[i] = positive >= CERTAIN_CELLS or (positive > 0 and self.bitmap(i, box, image_hw).area_px > 0)
        return found

    def _cells_a_pixel(self) -> FloatArray:
        """(4,): of x, y, x, y of the model input."""
        (rows, columns), (height, width) = self.prototypes.shape[1:], self.transform.input_hw
        return np.array([columns / width, rows / height] * 2, np.float32)

    def _enlarged(self, logits: FloatArray, axis: int, pixels: IntArray) -> FloatArray:
        """The rows (axis 0) or columns (1) of the image's pixels."""
        cells, side = self.prototypes.shape[1 + axis], self.transform.input_hw[axis]
        times = self._times()
        start = round(self.transform.content_yx[axis] * cells * times / side)
        count = max(1, round(self.transform.content_hw[axis] * cells * times / side))
        positions = (pixels + 0.5) * (count / self.transform.image_hw[axis]) - 0.5
        first, last = int(positions[0]), int(positions[-1]) + 1
        between = np.clip(np.arange(max(first, 0), last + 1), 0, count - 1) + start
        content = logits.take(between, axis) if times == 1 else _linear(logits, axis, (between + 0.5) / times - 0.5)
        return _linear(content, axis, np.clip(positions, 0, count - 1) - max(first, 0))

    def _times(self) -> int:
        """How often cells must be halved so that the padding is a whole number of them, on all sides."""
        stride = max(1, self.transform.input_hw[0] // self.prototypes.shape[1])
        padding = [whole - part for whole, part in zip(self.transform.input_hw, self.transform.content_hw, strict=True)]
        edges = [edge for pad in padding for edge in (pad, pad // 2)]
        times: int = stride // math.gcd(stride, *edges)
        return times


def _linear(values: FloatArray, axis: int, positions: npt.NDArray[np.float64]) -> FloatArray:
    """Linear interpolation along one axis, constant beyond its ends."""
    before = np.floor(positions).astype(np.int64)
    share = (positions - before).astype(np.float32)
    share = share[:, None] if axis == 0 else share
    low, high = (np.clip(index, 0, values.shape[axis] - 1) for index in (before, before + 1))
    mixed: FloatArray = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return mixed
