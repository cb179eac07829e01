"""Trainers by task (`TRAINERS`); one line an entry."""

import torch

from foveal.errors import UnknownName
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.detection.trainer import DetectionTrainer, InstanceTrainer
from foveal.models.recipe import Recipe
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


def check_buildable(recipe: Recipe) -> None:
    """Refuse a recipe of which no network can be built, whatever the data.

    Raises:
        UnknownName: no such backbone or architecture; the choices are listed. BadRecipe: fields that do not fit it.
    """
    task = trainer_of(recipe.task)
    task.preprocess(recipe)
    with torch.device("meta"):  # shapes without numbers
        task.build(recipe, ("one", "another"), weights="none")
