"""The tasks by name; one line an entry."""

from foveal.tasks.base import Prepared, Task
from foveal.tasks.classification import ClassificationTask
from foveal.tasks.instance_segmentation import InstanceSegmentationTask
from foveal.tasks.object_detection import ObjectDetectionTask

TASKS: dict[str, Task] = {
    "classification": ClassificationTask(),
    "instance-segmentation": InstanceSegmentationTask(),
    "object-detection": ObjectDetectionTask(),
}

__all__ = ["TASKS", "Prepared", "Task"]
