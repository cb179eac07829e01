"""Trainers by task (`TRAINERS`); one line an entry."""

from foveal.errors import UnknownName
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.detection.trainer import DetectionTrainer, InstanceTrainer
from foveal.models.segmentation.trainer import SegmentationTrainer
from foveal.models.training.task import TaskTrainer

TRAINERS: dict[str, TaskTrainer] = {
    "classification": ClassificationTrainer(),
    "semantic-segmentation": SegmentationTrainer(),
    "object-detection": DetectionTrainer(),
    "instance-segmentation": InstanceTrainer(),
}


def trainer_of(task: str) -> TaskTrainer:
    """The task's trainer.

    Raises:
        UnknownName: no task of that name; the choices are listed.
    """
    if task not in TRAINERS:
        raise UnknownName.among("task", task, TRAINERS)
    return TRAINERS[task]
