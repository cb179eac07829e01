"""Instance segmentation: object detection with a mask for each object.

Graph: a two-stage one (foveal.tasks.object_detection) with `masks` (M, m, m) float32: soft, of the row's class,
relative to the row's box. Imported: a one-stage one with `coefficients` (N, K, k) float32 and `prototypes`
(N, k, h, w) float32, whose products are the masks' logits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.imaging import masks
from foveal.packages.manifest import GoldenTolerance
from foveal.results import JsonObject, Result
from foveal.tasks.arrow import mask_member, pyarrow, run_lengths, scored, struct
from foveal.tasks.detections import Detections
from foveal.tasks.matching import match_rendered
from foveal.tasks.object_detection import Detection, ObjectDetectionTask
from foveal.tasks.schemas import Entry, PngMask, PolygonMask, RleMask

MAX_SMALL_OBJECT_SHARE = 0.25  # of a mask's own pixels that may differ: a small object must not lose its mask unseen


class Instance(Detection):
    """One object with its outline."""

    mask: RleMask | PolygonMask | PngMask | None = None
    area_px: int


class InstanceEntry(Entry):
    """Objects with masks by descending score."""

    detections: list[Instance]


class InstanceSegmentationTask(ObjectDetectionTask):
    """Boxes with masks."""

    has_id_map = True

    def __init__(self) -> None:
        boxes = ObjectDetectionTask()
        super().__init__(
            name="instance-segmentation",
            endpoint="instances",
            option_names=boxes.option_names | {"mask_format"},
            columns=(*boxes.columns, "area_px"),
            entry=InstanceEntry,
            purpose="Outlines every single object of {classes} to the pixel, with a score for each.",
        )

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Boxes as in object detection; then the masks of each pair, decoded, whatever their format."""
        found = super().differences(expected, got, tolerance)
        image_hw = (expected["image"]["height"], expected["image"]["width"])
        _, _, pairs = match_rendered(expected["detections"], got["detections"], tolerance)
        for want, have in pairs:
            if "mask" not in want:
                continue
            want_mask, have_mask = (masks.decode(row["mask"], image_hw) for row in (want, have))
            differing = int(np.count_nonzero(want_mask != have_mask))
            image_px = image_hw[0] * image_hw[1]
            allowed = min(tolerance.pixel_fraction * image_px, MAX_SMALL_OBJECT_SHARE * want["area_px"])
            if differing > allowed:
                where = f"mask of {want['label']} at {want['box']}"
                found.append(f"{where}: expected ≤ {allowed:.0f} px off, got {differing}")
        return found

    def arrow_members(self, labels: Sequence[str], mask_format: str | None) -> dict[str, Any]:
        """A list of objects with masks."""
        pa = pyarrow()
        formats = {
            "rle": run_lengths(),
            "polygon": {"polygons": pa.list_(pa.list_(pa.list_(pa.int32())))},
            "png": {"base64": pa.string()},
        }
        mask = mask_member(formats, mask_format or "rle")
        row = struct(**scored(), box=pa.list_(pa.float64()), area_px=pa.int64(), **mask)
        return {"detections": pa.list_(row)}

    def id_map(self, result: Result) -> npt.NDArray[np.uint16]:
        """0 where no object is, else 1 + the object's place in the result; of two at one pixel the better scored."""
        assert isinstance(result, Detections)
        ids = np.zeros(result.image_hw, np.uint16)
        for index in range(len(result) - 1, -1, -1):
            bitmap = result.bitmap(index)
            height, width = bitmap.roi.shape
            ids[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width][bitmap.roi > 0] = index + 1
        return ids
