"""The tasks by name; one line an entry."""

from foveal.tasks.base import Prepared, Task
from foveal.tasks.classification import ClassificationTask

TASKS: dict[str, Task] = {task.name: task for task in (ClassificationTask(),)}

__all__ = ["TASKS", "Prepared", "Task"]
