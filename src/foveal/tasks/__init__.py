"""Tasks by name (`TASKS`), one line an entry; each module carries all that the core knows about its task."""

from foveal.errors import UnknownName
from foveal.tasks.base import Prepared, Task
from foveal.tasks.classification import ClassificationTask
from foveal.tasks.instance_segmentation import InstanceSegmentationTask
from foveal.tasks.object_detection import ObjectDetectionTask
from foveal.tasks.semantic_segmentation import SemanticSegmentationTask

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        ClassificationTask(),
        InstanceSegmentationTask(),
        ObjectDetectionTask(),
        SemanticSegmentationTask(),
    )
}


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownName: no such task; the choices are listed.
    """
    if name not in TASKS:
        raise UnknownName.among("task", name, TASKS)
    return TASKS[name]


__all__ = ["TASKS", "Prepared", "Task", "task_of"]
