"""Readers of data sets by task, without torch; one line an entry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from foveal.errors import UnknownName
from foveal.models.classification import layouts as class_folders
from foveal.models.data.dataset import DataSet
from foveal.models.detection.layouts import read as objects
from foveal.models.reading.findings import DataCheck
from foveal.models.reading.reader import Reader, no_layout
from foveal.models.recipe import Recipe
from foveal.models.segmentation.layouts import read as class_maps

# `check_data` tries them in this order: a folder a class is what every folder of folders looks like
READERS: dict[str, Reader[Any]] = {
    "semantic-segmentation": class_maps.READER,
    "object-detection": objects.DETECTION,
    "instance-segmentation": objects.INSTANCES,
    "classification": class_folders.READER,
}


def reader_of(task: str) -> Reader[Any]:
    """The task's reader.

    Raises:
        UnknownName: no task of that name; the choices are listed.
    """
    if task not in READERS:
        raise UnknownName.among("task", task, READERS)
    return READERS[task]


def load_data(recipe: Recipe, root: Path) -> DataSet[Any]:
    """The data set in the splits that the recipe trains with; errors are those of the task's reader."""
    data = reader_of(recipe.task).load(root, recipe)
    return replace(data, splits=data.splits.with_val_in_train()) if recipe.train_on_val else data


def check_data(root: Path, *, names: int, task: str | None = None) -> DataCheck:
    """The findings of the first reader that recognises the layout, or of the task's; `names` are listed of each kind.

    Raises:
        BadData: none does, or the data set cannot be read.
    """
    readers = list(READERS.values()) if task is None else [reader_of(task)]
    for reader in readers:
        if (found := reader.check(root, names, borrowed=task is not None)) is not None:
            return found
    raise no_layout(root, readers)
