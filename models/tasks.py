"""The plug of a task into the training loop, and the tasks that are plugged in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.errors import UnknownName
from foveal.imaging.preprocess import Preprocess
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.data.dataset import DataSet, Sample
from foveal.models.detection.trainer import DetectionTrainer, InstanceTrainer
from foveal.models.recipe import Recipe
from foveal.models.segmentation.trainer import SegmentationTrainer


class TaskTrainer(Protocol):
    """What a task must be able to do to be trained. Stateless: everything about one run is in its arguments.

    A sample's truth, an item of a data set, a batch and a prediction are the task's own business; the loop
    (training/loop.py) only hands them on.
    """

    name: str
    recipe_type: type[Any]  # a subclass of Recipe
    best_metric: str  # the metric of the val split that picks the best checkpoint; higher is better

    def load_data(self, root: Path, recipe: Any) -> DataSet[Any]:
        """Recognise the layout, check everything, split. Raises BadData with all that is wrong at once."""
        ...

    def architecture(self, recipe: Any) -> str:
        """Name of the network for manifest and card."""
        ...

    def preprocess(self, recipe: Any) -> Preprocess:
        """How an image becomes the network's model input, in training-time evaluation and in production."""
        ...

    def build(self, recipe: Any, labels: Sequence[str], *, weights: str) -> nn.Module:
        """The network. In eval mode it reads uint8 model inputs; a checkpoint is rebuilt with weights="none"."""
        ...

    def backbone(self, network: nn.Module) -> nn.Module:
        """The part of the network that came with weights; the rest is the head, which learns faster."""
        ...

    def train_set(self, samples: Sequence[Sample[Any]], recipe: Any) -> Dataset[Any]:
        """Augmented samples: `dataset[SampleKey(index, seed, epoch)]`, a function of the draw alone (loading.py)."""
        ...

    def eval_set(self, samples: Sequence[Sample[Any]], recipe: Any) -> Dataset[Any]:
        """Samples exactly as production prepares them: `dataset[index]`."""
        ...

    def collate(self, items: list[Any]) -> Any:
        """Items -> a batch (tensors in tuples, lists or dicts, so that the loop can move it to a device)."""
        ...

    def loss(self, network: nn.Module, batch: Any, recipe: Any) -> Mapping[str, Tensor]:
        """Training mode: the named parts of the loss, each a scalar; their sum is minimised."""
        ...

    def predict(self, network: nn.Module, batch: Any) -> list[Any]:
        """Eval mode, no gradients: one prediction a sample of an eval batch, on the CPU."""
        ...

    def score(
        self, predictions: Sequence[Any], samples: Sequence[Sample[Any]], labels: Sequence[str], recipe: Any
    ) -> dict[str, float]:
        """Metrics over a whole split; `best_metric` is among them. Predictions are in the samples' order."""
        ...

    def report(
        self, folder: Path, predictions: Sequence[Any], samples: Sequence[Sample[Any]], labels: Sequence[str]
    ) -> None:
        """Images and tables of the best checkpoint on val, written into the run folder."""
        ...


TRAINERS: dict[str, TaskTrainer] = {
    trainer.name: trainer
    for trainer in (ClassificationTrainer(), SegmentationTrainer(), DetectionTrainer(), InstanceTrainer())
}


def trainer_of(task: str) -> TaskTrainer:
    """The task's plug.

    Raises:
        UnknownName: no task of that name; the choices are listed.
    """
    if task not in TRAINERS:
        raise UnknownName.among("task", task, TRAINERS)
    return TRAINERS[task]


def load_data(recipe: Recipe, root: Path) -> DataSet[Any]:
    """The data set in the splits that the recipe trains with; errors are those of the task's `load_data`."""
    data = trainer_of(recipe.task).load_data(root, recipe)
    return replace(data, splits=data.splits.with_val_in_train()) if recipe.train_on_val else data


__all__ = ["TRAINERS", "Recipe", "TaskTrainer", "load_data", "trainer_of"]
