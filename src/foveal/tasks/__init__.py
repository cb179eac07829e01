"""The tasks by name; one line an entry."""

from foveal.tasks.base import Prepared, Task
from foveal.tasks.classification import ClassificationTask
from foveal.tasks.instance_segmentation import InstanceSegmentationTask
from foveal.tasks.object_detection import ObjectDetectionTask
from foveal.tasks.semantic_segmentation import SemanticSegmentationTask

TASKS: dict[str, Task] = {
    "classification": ClassificationTask(),
    "instance-segmentation": InstanceSegmentationTask(),
    "object-detection": ObjectDetectionTask(),
    "semantic-segmentation": SemanticSegmentationTask(),
}

__all__ = ["TASKS", "Prepared", "Task"]
