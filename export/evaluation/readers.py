"""Readers of the tasks' data sets, without torch; one line a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveal.errors import BadData, UnknownName
from foveal.models.classification.layouts import load_folders
from foveal.models.data.dataset import DataSet
from foveal.models.detection.layouts.read import load_objects
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.recipe import Recipe
from foveal.models.segmentation.layouts import load_class_maps
from foveal.models.segmentation.recipe import SegmentationRecipe


@dataclass(frozen=True)
class Reader:
    """How a task's data sets are read, without torch."""

    load: Callable[[Path, Any], DataSet[Any]]
    recipe_type: type[Recipe]  # has at least the fields that reading and splitting depend on


READERS: dict[str, Reader] = {
    "classification": Reader(load_folders, Recipe),
    "semantic-segmentation": Reader(load_class_maps, SegmentationRecipe),
    "object-detection": Reader(load_objects, DetectionRecipe),
    "instance-segmentation": Reader(load_objects, InstanceRecipe),
}


def read_data(task: str, recipe: Mapping[str, Any], root: Path, split_file: Path | None = None) -> DataSet[Any]:
    """Read a data set and split it as the model's recipe says, so that `test` is what training never saw.

    Raises:
        UnknownName: no reader for the task. BadData: not readable, or the recipe's split file is not given.
    """
    if task not in READERS:
        raise UnknownName.among("task", task, READERS)
    reader = READERS[task]
    fields = {name: value for name, value in recipe.items() if name in reader.recipe_type.model_fields}
    if fields.get("split_file") and split_file is None:
        raise BadData(f"the model's recipe splits by {fields['split_file']}: give it as --split-file")
    resolved = reader.recipe_type.model_validate({**fields, "split_file": split_file and str(split_file)})
    return reader.load(root, resolved)
