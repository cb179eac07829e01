"""Outlines of objects as tools write them (`read_segmentation`), and as COCO's run lengths (`Polygons`, `Runs`).

Everything is checked before pycocotools sees it: its C code takes sizes, counts and coordinates on trust.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.metrics.truth import Rle
from foveal.models.reading.fields import BadField, number, numbers, pairs, shown

Box = tuple[float, float, float, float]  # x1, y1, x2, y2
REACH = 4  # polygons are drawn up to this many sides around the image; what lies further is moved there


@dataclass(frozen=True, slots=True)
class Polygons:
    """The pieces of one object, each x, y, x, y, …; empty: outlines without area."""

    pieces: tuple[Sequence[float], ...]

    def box_xyxy(self) -> Box | None:
        """The box around all pieces."""
        if not self.pieces:
            return None
        xs, ys = ([v for piece in self.pieces for v in piece[i::2]] for i in (0, 1))
        return min(xs), min(ys), max(xs), max(ys)

    def scaled(self, width: float, height: float) -> "Polygons":
        """Fractions of an image's sides as pixels."""
        return Polygons(tuple([v * (height if i % 2 else width) for i, v in enumerate(p)] for p in self.pieces))

    def rle(self, image_hw: tuple[int, int]) -> Rle | None:
        """Run lengths of the pixels inside; None: no pixel is."""
        if not self.pieces:
            return None
        height, width = image_hw
        limits = np.array([width, height])
        drawn = [np.clip(np.reshape(p, (-1, 2)), -REACH * limits, (1 + REACH) * limits).ravel() for p in self.pieces]
        return _stored(coco_mask.merge(coco_mask.frPyObjects([p.tolist() for p in drawn], height, width)))


@dataclass(frozen=True, slots=True)
class Runs:
    """Run lengths down the columns of the image, background first."""

    counts: tuple[int, ...]
    size: tuple[int, int]  # height, width

    def box_xyxy(self) -> Box | None:
        """The box around the pixels."""
        x, y, width, height = coco_mask.toBbox(self._coded()).tolist()
        return (x, y, x + width, y + height) if width and height else None

    def scaled(self, width: float, height: float) -> "Runs":
        """Themselves: they are pixels."""
        return self

    def rle(self, image_hw: tuple[int, int]) -> Rle | None:
        """Compressed.

        Raises:
            BadField: of another image size.
        """
        if self.size != image_hw:
            raise BadField(f"size: expected the image's {list(image_hw)}, got {list(self.size)}", "mask size")
        return _stored(self._coded())

    def _coded(self) -> Rle:
        rle: Rle = coco_mask.frPyObjects({"size": list(self.size), "counts": list(self.counts)}, *self.size)
        return rle


Outline = Polygons | Runs


def runs_of(bitmap: npt.NDArray[np.bool_], left: int, top: int, image_hw: tuple[int, int]) -> Runs:
    """Run lengths of a small bitmap that lies somewhere in an image.

    Raises:
        BadField: it does not lie inside.
    """
    height, width = bitmap.shape
    if left < 0 or top < 0 or left + width > image_hw[1] or top + height > image_hw[0]:
        raise BadField(f"mask: expected it inside {image_hw}, got {bitmap.shape} at {(top, left)} (y, x)", "mask size")
    full = np.zeros(image_hw, np.bool_)
    full[top : top + height, left : left + width] = bitmap
    changes = np.flatnonzero(np.diff(full.ravel(order="F"), prepend=False))
    counts = np.diff(np.concatenate([[0], changes, [full.size]]))
    return Runs(tuple(counts.tolist()), image_hw)


def polygons(pieces: Sequence[Sequence[float]]) -> Polygons:
    """Outlines without the pieces that have fewer than three different points."""
    return Polygons(tuple(piece for piece in pieces if len(set(zip(piece[0::2], piece[1::2], strict=True))) >= 3))


def read_segmentation(value: Any) -> Outline | None:
    """COCO's `segmentation`: polygons, run lengths as numbers or as text; None: there is none.

    Raises:
        BadField: anything else.
    """
    if value is None or value in ([], {}, "", [[]]):
        return None
    if isinstance(value, dict):
        return _runs(value)
    if not isinstance(value, list):
        raise BadField(f"segmentation: expected polygons or run lengths, got {shown(value)}")
    nested = [piece for piece in value if isinstance(piece, list | tuple)]
    if not nested:  # x, y, x, y, … without the outer list
        return polygons([pairs(numbers(value, "segmentation"), "segmentation")])
    if len(nested) != len(value):
        raise BadField(f"segmentation: expected a list of polygons, got {shown(value)}")
    if any(isinstance(point, list | tuple) for piece in nested for point in piece):  # [[[x, y], [x, y], …], …]
        return polygons([[v for point in piece for v in numbers(point, "segmentation", 2)] for piece in nested])
    pieces = [numbers(piece, f"segmentation[{i}]") for i, piece in enumerate(nested) if piece]
    if len(pieces) > 2 and all(len(piece) == 2 for piece in pieces):  # [[x, y], [x, y], …]: one polygon
        return polygons([[v for piece in pieces for v in piece]])
    return polygons([pairs(piece, f"segmentation[{i}]") for i, piece in enumerate(pieces)])


def _runs(value: dict[str, Any]) -> Runs:
    height, width = (int(v) for v in numbers(value.get("size"), "segmentation.size", 2))
    if not (0 < height <= 2**16 and 0 < width <= 2**16):
        raise BadField(f"segmentation.size: expected an image's height and width, got {shown(value.get('size'))}")
    stated = value.get("counts")
    if isinstance(stated, str):
        counts = decoded_counts(stated)
    elif isinstance(stated, list):
        counts = np.array([number(v, "segmentation.counts") for v in stated])
    else:
        raise BadField(f"segmentation.counts: expected run lengths, got {shown(stated)}")
    total = float(counts.sum())
    if (counts < 0).any() or (counts != np.floor(counts)).any() or total != height * width:
        got = f"{int((counts < 0).sum())} negative ones and a sum of {total:g}"
        raise BadField(f"segmentation.counts: expected run lengths of {height * width} pixels in all, got {got}")
    return Runs(tuple(counts.astype(np.int64).tolist()), (height, width))


def decoded_counts(text: str) -> npt.NDArray[np.float64]:
    """COCO's compressed run lengths as numbers: six bits a character, differences to the run before the last.

    Raises:
        BadField: characters that are none of it.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    more = (codes & 0x20) > 0
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or more[-1]:
        raise BadField(f"segmentation.counts: expected compressed run lengths, got {shown(text)}")
    starts = np.concatenate([[0], np.flatnonzero(~more)[:-1] + 1])
    place = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    if place.max() > 6:  # 35 bits
        raise BadField(f"segmentation.counts: expected compressed run lengths, got {shown(text)}")
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    last = np.flatnonzero(~more)
    values[(codes[last] & 0x10) > 0] -= (1 << (5 * (place[last] + 1)))[(codes[last] & 0x10) > 0]
    if len(values) > 3:  # from the fourth on, each is a difference to the one two before it
        values[3::2] = np.cumsum(values[1::2])[1:]
        values[4::2] = np.cumsum(values[2::2])[1:]
    return values.astype(np.float64)


def _stored(rle: Rle) -> Rle | None:
    """As ObjectTruth holds them; None without a pixel."""
    if not coco_mask.area(rle):
        return None
    counts = rle["counts"]
    return {"size": [int(v) for v in rle["size"]], "counts": counts.decode() if isinstance(counts, bytes) else counts}
