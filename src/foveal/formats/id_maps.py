"""Id maps: greyscale PNGs of the image's size that say what each pixel belongs to; what counting tools read."""

import cv2

from foveal.results import Result
from foveal.tasks import TASKS, Task


def offered() -> list[str]:
    """Names of the tasks whose results have id maps."""
    return [name for name, task in TASKS.items() if task.has_id_map]


def id_map_png(result: Result, task: Task) -> bytes:
    """A PNG of `Task.id_map`: 16 bits of instance ids, or 8 bits of class ids."""
    done, data = cv2.imencode(".png", task.id_map(result))
    assert done
    return bytes(data.tobytes())
