"""Readers of data sets by task, without torch; one line an entry."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foveal.errors import BadData, UnknownName
from foveal.models.classification.layouts import load_folders
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.checks import DataCheck
from foveal.models.data.dataset import DataSet
from foveal.models.detection.layouts import check as object_checks
from foveal.models.detection.layouts.read import LAYOUTS, load_objects
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.recipe import Recipe
from foveal.models.segmentation import layouts as class_maps
from foveal.models.segmentation.recipe import SegmentationRecipe


@dataclass(frozen=True)
class Reader:
    """How a task's data sets are read.

    `load` recognises the layout, checks everything and splits; it raises BadData with all that is wrong at once.
    `check` is for `foveal data check`: it also finds what `load` lets pass, lists so many file names for each kind of
    finding, and gives None for a layout that is not among `checked_layouts`.
    """

    load: Callable[[Path, Any], DataSet[Any]]
    recipe_type: type[Recipe]  # the task's own
    check: Callable[[Path, int], DataCheck | None] | None = None
    checked_layouts: tuple[str, ...] = ()  # in words


READERS: dict[str, Reader] = {
    "classification": Reader(load_folders, ClassificationRecipe),
    "semantic-segmentation": Reader(
        class_maps.load_class_maps, SegmentationRecipe, class_maps.data_check, (class_maps.ID_MAPS,)
    ),
    "object-detection": Reader(load_objects, DetectionRecipe, object_checks.data_check, LAYOUTS),
    "instance-segmentation": Reader(load_objects, InstanceRecipe, object_checks.data_check, LAYOUTS),
}


def reader_of(task: str) -> Reader:
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


def check_data(root: Path, *, names: int) -> DataCheck:
    """The findings of the reader that recognises the layout; `names` are listed for each kind of finding.

    Raises:
        BadData: none does, or the data set cannot be read.
    """
    if not root.is_dir():
        raise BadData(f"{root}: expected a folder")
    for check in dict.fromkeys(reader.check for reader in READERS.values()):
        if check is not None and (found := check(root, names)) is not None:
            return found
    layouts = dict.fromkeys(layout for reader in READERS.values() for layout in reader.checked_layouts)
    raise BadData(f"{root}: expected one of {', '.join(layouts)}")
