"""Instance-id maps: a 16-bit greyscale PNG of the picture's size, one number an object; what counting tools read."""

import cv2
import numpy as np
import numpy.typing as npt

from foveal import masks
from foveal.results import Detections


def instance_map(result: Detections) -> npt.NDArray[np.uint16]:
    """(H, W): 0 where no object is, else 1 + the object's place in `result`; of two at one pixel the better scored."""
    assert result.masks is not None, "expected a result with masks"
    ids = np.zeros(result.image_hw, np.uint16)
    for index in range(len(result) - 1, -1, -1):
        bitmap = masks.bitmap_of(result, index)
        height, width = bitmap.roi.shape
        ids[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width][bitmap.roi > 0] = index + 1
    return ids


def instance_map_png(result: Detections) -> bytes:
    """`instance_map` as the bytes of a PNG."""
    done, data = cv2.imencode(".png", instance_map(result))
    assert done
    return bytes(data.tobytes())
