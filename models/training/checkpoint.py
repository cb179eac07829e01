"""Trained networks (`Checkpoint`), ready to be evaluated or exported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from foveal.errors import BadCheckpoint
from foveal.imaging.preprocess import Preprocess
from foveal.models.backbones.weights import read_state_dict
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import eval_loader
from foveal.models.recipe import Recipe
from foveal.models.training.run_folder import RunInfo
from foveal.models.training.task import TaskTrainer
from foveal.packages.manifest import Data, Licences
from foveal.progress import track


@dataclass(frozen=True)
class Checkpoint:
    """A network and everything that it needs. `network` is in eval mode, on the CPU, with EMA weights if there were."""

    network: nn.Module  # uint8 (N, H, W, 3) model inputs -> the task's raw outputs
    trainer: TaskTrainer
    recipe: Recipe
    task: str
    architecture: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    data: Data
    licences: Licences
    seed: int


def load_checkpoint(
    trainer: TaskTrainer, run: Path, info: RunInfo, which: Literal["best", "last"] = "best"
) -> Checkpoint:
    """Rebuild the network of a run folder.

    Args:
        trainer: of the run's task.
        run: the folder that `foveal train` wrote.
        info: its run.json.
        which: the epoch with the best val metric, or the last.

    Raises:
        BadCheckpoint: a damaged folder, or weights that do not fit its recipe. BadRecipe: a damaged recipe.
    """
    recipe = trainer.recipe_type.load(run / "recipe.toml")
    network = trainer.build(recipe, info.labels, weights="none")
    path = run / f"{which}.pt"
    try:
        network.load_state_dict(read_state_dict(path))
    except RuntimeError as error:
        raise BadCheckpoint(f"{path}: does not fit the recipe beside it: {error}") from None
    return Checkpoint(
        network=network.eval(),
        trainer=trainer,
        recipe=recipe,
        task=info.task,
        architecture=info.architecture,
        labels=info.labels,
        preprocess=info.preprocess,
        data=info.data,
        licences=info.licences,
        seed=info.seed,
    )


def predict_all(checkpoint: Checkpoint, samples: Sequence[Sample[Any]]) -> list[Any]:
    """The task's predictions in the samples' order, prepared as in production."""
    trainer, recipe = checkpoint.trainer, checkpoint.recipe
    batches = eval_loader(trainer.eval_set(samples, recipe), recipe.batch_size, trainer.collate)
    with torch.inference_mode():
        followed = track(batches, total=len(batches), what="score, batches")
        return [prediction for batch in followed for prediction in trainer.predict(checkpoint.network, batch)]
