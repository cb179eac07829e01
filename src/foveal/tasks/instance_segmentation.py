"""Instance segmentation: object detection with a mask for each object."""

import numpy as np

from foveal.imaging import masks
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance
from foveal.results import Detections, Result
from foveal.tasks.base import JsonObject
from foveal.tasks.object_detection import ObjectDetectionTask, detection_object, match_rendered


class InstanceSegmentationTask(ObjectDetectionTask):
    """A two-stage graph with `masks` (M, m, m) float32: soft, of the row's class, relative to the row's box."""

    name = "instance-segmentation"
    endpoint = "instances"
    option_names = ObjectDetectionTask.option_names | {"mask_format"}
    csv_columns = (*ObjectDetectionTask.csv_columns, "area_px")

    def render(self, result: Result, options: Options) -> JsonObject:
        """As detections, plus "area_px" (pixels of the mask) and "mask" in `mask_format` (left out for "none")."""
        assert isinstance(result, Detections)
        return {"detections": [self._object(result, i, options.mask_format or "rle") for i in range(len(result))]}

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Boxes as in object detection; then the masks of each pair, decoded, whatever their format."""
        found = super().differences(expected, got, tolerance)
        image_hw = (expected["image"]["height"], expected["image"]["width"])
        _, _, pairs = match_rendered(expected["detections"], got["detections"], tolerance)
        for want, have in pairs:
            if "mask" not in want:
                continue
            differing = int(
                np.count_nonzero(masks.decode(want["mask"], image_hw) != masks.decode(have["mask"], image_hw))
            )
            # the second bound keeps a small object from losing its mask unseen
            allowed = min(tolerance.pixel_fraction * image_hw[0] * image_hw[1], 0.25 * want["area_px"])
            if differing > allowed:
                found.append(
                    f"mask of {want['label']} at {want['box']}: expected ≤ {allowed:.0f} px off, got {differing}"
                )
        return found

    def _object(self, result: Detections, index: int, mask_format: str) -> JsonObject:
        bitmap = masks.bitmap_of(result, index)
        rendered = {**detection_object(result, index), "area_px": bitmap.area_px}
        if mask_format != "none":
            rendered["mask"] = masks.RENDERERS[mask_format](bitmap)
        return rendered
