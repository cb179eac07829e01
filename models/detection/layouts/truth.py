"""Truths of detection samples: made from plain lists, described for the fingerprint, opened as masks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.metrics.truth import ObjectTruth, Rle

UInt8Array = npt.NDArray[np.uint8]


def objects(
    boxes_xyxy: Sequence[Sequence[float]],
    class_ids: Sequence[int],
    image_hw: tuple[int, int],
    *,
    iscrowd: Sequence[bool] | None = None,
    masks: Sequence[Rle] | None = None,
    areas_px: Sequence[float] | None = None,
) -> ObjectTruth:
    """A truth from plain lists. `iscrowd` also marks VOC's difficult objects: neither learned nor scored."""
    return ObjectTruth(
        np.asarray(boxes_xyxy, np.float32).reshape(-1, 4),
        np.asarray(class_ids, np.int64),
        image_hw,
        None if iscrowd is None else np.asarray(iscrowd, np.bool_),
        None if masks is None else tuple(masks),
        None if areas_px is None else np.asarray(areas_px, np.float64),
    )


def rle_of(bitmap: npt.NDArray[np.bool_]) -> Rle:
    """(H, W) pixels of one object -> COCO's compressed run lengths."""
    rle = coco_mask.encode(np.asfortranarray(bitmap).view(np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def bitmaps(truth: ObjectTruth) -> UInt8Array:
    """(M, H, W) 0 or 1: all masks at full size at once, as training needs them."""
    if not len(truth):
        return np.zeros((0, *truth.image_hw), np.uint8)
    assert truth.masks is not None, "a data set without masks"
    return np.ascontiguousarray(coco_mask.decode(list(truth.masks)).transpose(2, 0, 1))


def describe(truth: ObjectTruth) -> str:
    """Everything as one line: what the data set's fingerprint is made of."""
    rows = []
    for i, box in enumerate(truth.boxes_xyxy.tolist()):
        numbers = " ".join(f"{edge:.2f}" for edge in box)
        mask = truth.masks[i]["counts"] if truth.masks is not None else ""
        rows.append(f"{truth.class_ids[i]} {int(truth.crowd[i])} {numbers} {mask}".rstrip())
    return ";".join(rows)
