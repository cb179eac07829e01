"""Instance masks: soft m x m -> bitmap -> RLE, polygons or PNG, one at a time and only inside their box.

A crowded full-HD image costs milliseconds and megabytes here, since a full-size bitmap is never made except for a
1-bit PNG. Geometry is torchvision's `paste_masks_in_image` (Mask R-CNN, He et al. 2017; padding by one mask pixel
avoids a hard edge at the box), then > 0.5.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

FloatArray = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
JsonObject = dict[str, Any]

MASK_THRESHOLD = 0.5
POLYGON_TOLERANCE_PX = 0.75  # more than a stair's corner is off its slope (0.71), so slanted edges become lines


@dataclass(frozen=True)
class Bitmap:
    """The pixels of one object: a small array and where it lies in the image."""

    roi: UInt8Array  # (h, w) of 0 and 1; h and w may be 0
    top: int
    left: int
    image_hw: tuple[int, int]

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.roi))

    def full(self) -> UInt8Array:
        """(H, W) of 0 and 1, the size of the image."""
        bitmap = np.zeros(self.image_hw, np.uint8)
        height, width = self.roi.shape
        bitmap[self.top : self.top + height, self.left : self.left + width] = self.roi
        return bitmap


def paste(
    soft: FloatArray, box_xyxy: FloatArray, image_hw: tuple[int, int], *, threshold: float = MASK_THRESHOLD
) -> Bitmap:
    """A soft mask (m, m) into its box: the pixels that torchvision's paste_masks_in_image leaves > threshold.

    torchvision pads the mask by one pixel, grows the box alike, cuts the edges to whole numbers and resizes bilinearly.
    """
    size = soft.shape[0]
    grown = _grown(box_xyxy.astype(np.float32), np.float32((size + 2) / size))
    left, top, right, bottom = (int(edge) for edge in grown)  # towards zero, as torchvision's cast does
    width, height = max(right - left + 1, 1), max(bottom - top + 1, 1)
    padded = cv2.copyMakeBorder(soft, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    pasted = cv2.resize(padded, (width, height), interpolation=cv2.INTER_LINEAR)
    y1, y2 = max(top, 0), min(top + height, image_hw[0])
    x1, x2 = max(left, 0), min(left + width, image_hw[1])
    inside = pasted[y1 - top : max(y2, y1) - top, x1 - left : max(x2, x1) - left]
    return Bitmap((inside > threshold).view(np.uint8), y1, x1, image_hw)


def _grown(box: FloatArray, scale: np.float32) -> FloatArray:
    """The box about its centre times `scale`, in float32 in torchvision's order of operations."""
    half = (box[2:] - box[:2]) * np.float32(0.5) * scale
    centre = (box[2:] + box[:2]) * np.float32(0.5)
    return np.concatenate([centre - half, centre + half])


def rle(bitmap: Bitmap) -> JsonObject:
    """COCO's compressed run lengths: {"size": [H, W], "counts": "…"}; what pycocotools encodes for the full bitmap.

    Runs go down the columns of the image. They are found in the box's columns alone; the offset does the rest.
    """
    height, width = bitmap.image_hw
    bounds = np.concatenate([[0], _run_edges(bitmap), [height * width]])
    counts = bounds[1:] - bounds[:-1]
    if counts.size > 1 and counts[-1] == 0:  # the last run reaches the last pixel
        counts = counts[:-1]
    coded = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": coded["counts"].decode("ascii")}


def _run_edges(bitmap: Bitmap) -> IntArray:
    """Where runs of ones begin and end (in turn) in the image's column-major pixels."""
    rows, columns = bitmap.roi.shape
    framed = np.zeros((rows + 2, columns), np.uint8)
    framed[1:-1] = bitmap.roi
    row, column = np.divmod(np.flatnonzero(framed[1:] != framed[:-1]), max(columns, 1))
    edges = np.sort((bitmap.left + column) * bitmap.image_hw[0] + bitmap.top + row)
    # in a box as high as the image, a run that ends a column may go on in the next one: end and begin fall together
    joined = np.flatnonzero(edges[1:] == edges[:-1])
    return np.delete(edges, np.concatenate([joined, joined + 1])) if joined.size else edges


def rings(bitmap: Bitmap) -> list[IntArray]:
    """Closed rings (K, 2) of whole (x, y) along pixel edges; filled by the even-odd rule they are the bitmap exactly.

    Each corner of a rectilinear outline has one partner in its row and one in its column (the next one, counting in
    pairs), so rings follow by going to and fro. Where two pixels touch at a corner only, it counts twice and the
    rings stay apart.
    """
    x, y, saddle = _corners(bitmap.roi)
    by_row = np.lexsort((x, y))  # copies of a saddle keep their order: the first ends a segment, the second starts one
    by_column = np.lexsort((saddle, y, x))
    along_row, along_column = _partners(by_row), _partners(by_column)
    unseen = np.ones(len(x), bool)
    found = []
    for start in by_row:
        if not unseen[start]:
            continue
        ring, at = [], int(start)
        while unseen[at]:
            other = int(along_row[at])
            unseen[at] = unseen[other] = False
            ring += [at, other]
            at = int(along_column[other])
        found.append(np.column_stack([x[ring] + bitmap.left, y[ring] + bitmap.top]))
    return found


def _corners(roi: UInt8Array) -> tuple[IntArray, IntArray, IntArray]:
    """x, y of every outline corner, and the rank of a saddle's two copies within their column (0 elsewhere)."""
    padded = np.pad(roi, 1).astype(np.int8)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]  # the 4 pixels around a vertex
    odd = (a ^ b ^ c ^ d) == 1
    saddles = (a == d) & (b == c) & (a != b)
    y, x = np.nonzero(odd | saddles)
    twice = saddles[y, x].astype(np.int64) + 1
    falling = a[y, x] == 1  # pixels at top left and bottom right: the left segment turns up, the right one down
    x, y, falling = np.repeat(x, twice), np.repeat(y, twice), np.repeat(falling, twice)
    first = np.diff(x * (padded.shape[0] + 1) + y, prepend=-1) != 0
    copies = np.repeat(twice, twice) == 2
    rank = np.where(copies, np.where(falling, ~first, first), 0)
    return x, y, rank.astype(np.int64)


def _partners(order: IntArray) -> IntArray:
    """Neighbours in `order`, taken in pairs."""
    partner = np.empty_like(order)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def polygons(bitmap: Bitmap) -> JsonObject:
    """{"format": "polygon", "polygons": [[[x, y], …], …]}: outlines and holes as separate rings, even-odd rule.

    Douglas-Peucker simplification moves an edge by at most POLYGON_TOLERANCE_PX; a ring that would lose its area keeps
    every corner.
    """
    return {"format": "polygon", "polygons": [_simplified(ring).tolist() for ring in rings(bitmap)]}


def _simplified(ring: IntArray) -> IntArray:
    points = ring.astype(np.int32)
    fewer = cv2.approxPolyDP(points[:, None], POLYGON_TOLERANCE_PX, closed=True)[:, 0]
    return ring if len(fewer) < 3 or cv2.contourArea(fewer) == 0 else fewer.astype(np.int64)


def png(bitmap: Bitmap) -> JsonObject:
    """{"format": "png", "base64": "…"}: the full-size bitmap as a 1-bit greyscale PNG, object white."""
    done, data = cv2.imencode(".png", bitmap.full() * np.uint8(255), [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert done
    return {"format": "png", "base64": base64.b64encode(data.tobytes()).decode("ascii")}


RENDERERS: dict[str, Callable[[Bitmap], JsonObject]] = {
    "rle": lambda bitmap: {"format": "rle", **rle(bitmap)},
    "polygon": polygons,
    "png": png,
}


def decode(mask: Mapping[str, Any], image_hw: tuple[int, int]) -> BoolArray:
    """A rendered mask of any format back to its full-size bitmap (H, W)."""
    if mask["format"] == "rle":
        return rle_bitmap(mask).astype(bool)
    if mask["format"] == "png":
        data = np.frombuffer(base64.b64decode(mask["base64"]), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)) > 0
    return fill_even_odd(mask["polygons"], image_hw)


def fill_even_odd(polygons_xy: list[list[list[float]]], image_hw: tuple[int, int]) -> BoolArray:
    """Pixels (H, W) whose centres lie inside an odd number of rings."""
    toggles = np.zeros((image_hw[0], image_hw[1] + 1), np.int32)
    for ring in polygons_xy:
        points = np.asarray(ring, np.float64)
        for (xa, ya), (xb, yb) in zip(points, np.roll(points, -1, axis=0), strict=True):
            low, high = (np.clip(np.ceil(np.sort([ya, yb]) - 0.5), 0, image_hw[0])).astype(int)
            rows = np.arange(low, high)  # rows whose centre line the edge crosses
            if rows.size:
                crossing = xa + (rows + 0.5 - ya) * (xb - xa) / (yb - ya)
                toggles[rows, np.clip(np.ceil(crossing - 0.5), 0, image_hw[1]).astype(int)] += 1
    inside: BoolArray = np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1
    return inside


def rle_area_px(mask: Mapping[str, Any]) -> int:
    """Number of pixels of a compressed COCO RLE."""
    return int(coco_mask.area({"size": mask["size"], "counts": mask["counts"]}))


def rle_bitmap(mask: Mapping[str, Any]) -> UInt8Array:
    """A compressed COCO RLE as the full-size bitmap (H, W) of 0 and 1."""
    full: UInt8Array = coco_mask.decode({"size": mask["size"], "counts": mask["counts"]})
    return full
