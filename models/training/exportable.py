"""Requirements of `foveal export` on recipe and data (`check_exportable`), checked before a training starts."""

from typing import Any

from pydantic import ValidationError

from foveal.errors import BadData
from foveal.models.data.dataset import DataSet
from foveal.models.data.model_inputs import ModelInputs
from foveal.models.recipe import Recipe
from foveal.models.training.task import TaskTrainer
from foveal.options import Defaults
from foveal.packages.manifest import PipelineSpec, Tensor


def check_exportable(task: TaskTrainer, recipe: Recipe, data: DataSet[Any]) -> None:
    """Refuse what no package could be made of, however well it trained.

    Held-out images are decoded: training itself would read them only after its last epoch.

    Raises:
        BadData: no held-out images (of test, else of val), some that cannot be read, or labels that a package refuses.
    """
    if not data.labels:
        raise BadData(f"{data.name}: expected at least one label, got none")
    image = Tensor(name="images", dtype="uint8", shape=("N", *recipe.input_hw, 3))
    try:
        PipelineSpec(
            task=recipe.task,
            labels=data.labels,
            preprocess=task.preprocess(recipe),
            defaults=Defaults(),
            inputs=(image,),
        )
    except ValidationError as error:
        problems = (str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
        raise BadData(f"{data.name}: {'; '.join(problems)}") from None
    held_out = data.splits.test or data.splits.val
    if not held_out:
        raise BadData(f"{data.name}: expected held-out images in split 'test' or 'val', got none")
    ModelInputs(held_out, task.preprocess(recipe), cache_bytes=0)  # raises for images that cannot be read


def held_out_note(data: DataSet[Any]) -> list[str]:
    """What follows for the export from a missing test split."""
    if data.splits.test:
        return []
    return [
        f"{data.name}: no images in split 'test': the model can be exported with --split val only, whose figures "
        "flatter, since val picks the epoch"
    ]
