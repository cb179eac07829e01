"""Id maps: greyscale PNGs of the image's size that say what each pixel belongs to; what counting tools read."""

import cv2
import numpy as np
import numpy.typing as npt

from foveal.imaging import masks
from foveal.results import Detections, SemanticMap

TASKS = ("instance-segmentation", "semantic-segmentation")


def instance_map(result: Detections) -> npt.NDArray[np.uint16]:
    """(H, W): 0 where no object is, else 1 + the object's place in `result`; of two at one pixel the better scored."""
    assert result.masks is not None, "expected a result with masks"
    ids = np.zeros(result.image_hw, np.uint16)
    for index in range(len(result) - 1, -1, -1):
        bitmap = masks.bitmap_of(result, index)
        height, width = bitmap.roi.shape
        ids[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width][bitmap.roi > 0] = index + 1
    return ids


def id_map_png(result: Detections | SemanticMap) -> bytes:
    """A PNG: 16 bits of instance ids (`instance_map`), or 8 bits of class ids."""
    ids = result.class_map if isinstance(result, SemanticMap) else instance_map(result)
    done, data = cv2.imencode(".png", ids)
    assert done
    return bytes(data.tobytes())
