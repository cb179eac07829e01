"""Class maps: from the model input to the size of the image, and to PNG or RLE."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.imaging.preprocess import ImageTransform

UInt8Array = npt.NDArray[np.uint8]


def to_image(class_map: UInt8Array, transform: ImageTransform) -> UInt8Array:
    """(h, w) ids over the model input, at any resolution -> (H, W) ids of the original image, exactly its size.

    The padding is cut off first; then each pixel takes the id at its centre (no id is ever mixed from two).
    """
    rows, columns = class_map.shape
    content_h = max(1, round(transform.content_hw[0] * rows / transform.input_hw[0]))
    content_w = max(1, round(transform.content_hw[1] * columns / transform.input_hw[1]))
    top = min(rows - content_h, round(transform.content_yx[0] * rows / transform.input_hw[0]))
    left = min(columns - content_w, round(transform.content_yx[1] * columns / transform.input_hw[1]))
    content = np.ascontiguousarray(class_map[top : top + content_h, left : left + content_w])
    if content.shape == transform.image_hw:
        return content
    # row by row and column by column: cv2.resize's INTER_NEAREST samples the corner of a pixel, not its centre
    y = _centres(content_h, transform.image_hw[0])
    x = _centres(content_w, transform.image_hw[1])
    return np.ascontiguousarray(content[:, x][y])


def _centres(source: int, target: int) -> npt.NDArray[np.intp]:
    """For each of `target` pixels, the source pixel under its centre."""
    return np.minimum(((np.arange(target) + 0.5) * (source / target)).astype(np.intp), source - 1)


def png(class_map: UInt8Array) -> dict[str, Any]:
    """{"format": "png", "base64": "…"}: 8-bit greyscale, pixel value = class id."""
    return {"format": "png", "base64": base64.b64encode(png_bytes(class_map)).decode("ascii")}


def png_bytes(class_map: UInt8Array) -> bytes:
    """The map as an 8-bit greyscale PNG.

    Rows of a map mostly repeat the row above, so that filter leaves runs of zeros, and run lengths pack those best.
    """
    settings = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    settings += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    done, data = cv2.imencode(".png", class_map, settings)
    assert done
    return data.tobytes()


def decode(mask: Mapping[str, Any], image_hw: tuple[int, int]) -> UInt8Array:
    """A rendered mask, png or rle, back to ids (H, W)."""
    if mask["format"] == "png":
        return from_png(base64.b64decode(mask["base64"]))
    ids = np.zeros(image_hw, np.uint8)
    for row in mask["classes"]:
        ids[coco_mask.decode({"size": row["size"], "counts": row["counts"]}) > 0] = row["class_id"]
    return ids


def from_png(data: bytes) -> UInt8Array:
    """Ids from what `png_bytes` wrote."""
    ids = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert ids is not None
    return ids.astype(np.uint8, copy=False)


def rles(class_map: UInt8Array, labels: Sequence[str]) -> list[dict[str, Any]]:
    """One COCO compressed RLE for each class that occurs: {"label", "class_id", "size": [H, W], "counts"}.

    All classes together in one pass over the column-major pixels: runs of equal ids are found once, and each class
    takes its own.
    """
    height, width = class_map.shape
    flat = class_map.T.ravel()
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    ends = np.append(starts[1:], flat.size)
    ids = flat[starts]
    return [
        {"label": labels[k], "class_id": int(k), **_rle(starts[ids == k], ends[ids == k], (height, width))}
        for k in np.unique(ids)
    ]


def _rle(starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], image_hw: tuple[int, int]) -> dict[str, Any]:
    """Runs of ones, as half-open ranges of column-major pixels, in COCO's compressed form."""
    size = image_hw[0] * image_hw[1]
    edges = np.stack((starts, ends), axis=1).ravel()
    counts = np.diff(edges, prepend=0, append=size)
    if counts[-1] == 0:
        counts = counts[:-1]
    coded = coco_mask.frPyObjects({"size": list(image_hw), "counts": counts.tolist()}, *image_hw)
    return {"size": list(image_hw), "counts": coded["counts"].decode("ascii")}
