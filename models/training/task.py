"""The interface between a task and the training loop (`TaskTrainer`)."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import Sample
from foveal.models.data.panels import Panel


class TaskTrainer(ABC):
    """What a task must be able to do to be trained, viewed and diagnosed. Stateless: a run is in the arguments.

    A sample's truth, an item of a data set, a batch and a prediction are the task's own types; the training loop only
    hands them on. What is not abstract has a default that suits a task without the feature in question.
    """

    name: str
    recipe_type: type[Any]  # a subclass of Recipe
    best_metric: str  # the metric of the val split that picks the best checkpoint; higher is better
    unit: str  # of `count`
    counts_at_once = True  # whether `count` reads no file
    also_shown: tuple[str, ...] = ()  # metrics of the val split that an epoch's line shows beside it
    memorised_loss = 0.5  # share of its first loss that may be left after a handful of samples was overfitted

    # ---- network

    @abstractmethod
    def architecture(self, recipe: Any) -> str:
        """Name of the network for manifest and card."""

    @abstractmethod
    def preprocess(self, recipe: Any) -> Preprocess:
        """How an image becomes the network's model input, in training-time evaluation and in production."""

    @abstractmethod
    def build(self, recipe: Any, labels: Sequence[str], *, weights: str) -> nn.Module:
        """The network. In eval mode it reads uint8 model inputs; a checkpoint is rebuilt with weights="none"."""

    @abstractmethod
    def backbone(self, network: nn.Module) -> nn.Module:
        """The part of the network that came with weights; the rest is the head, which learns faster."""

    def prepare(self, network: nn.Module, samples: Sequence[Sample[Any]], recipe: Any) -> None:
        """Tell a new network what its loss must know of the training samples; by default nothing."""
        return

    # ---- training and evaluation

    def sampling_shares(self, samples: Sequence[Sample[Any]], recipe: Any) -> npt.NDArray[np.float64] | None:
        """Probability of each sample, (N,), to be drawn for training; None: every sample once an epoch."""
        return None

    @abstractmethod
    def train_set(self, samples: Sequence[Sample[Any]], recipe: Any) -> Dataset[Any]:
        """Augmented samples: `dataset[SampleKey(index, seed, epoch)]`, a function of the key alone (loading.py)."""

    @abstractmethod
    def eval_set(self, samples: Sequence[Sample[Any]], recipe: Any) -> Dataset[Any]:
        """Samples exactly as production prepares them: `dataset[index]`."""

    @abstractmethod
    def collate(self, items: list[Any]) -> Any:
        """Items -> a batch (tensors in tuples, lists or dicts, so that the loop can move it to a device)."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any, recipe: Any) -> Mapping[str, Tensor]:
        """Training mode: the named parts of the loss, each a scalar; their sum is minimised."""

    @abstractmethod
    def predict(self, network: nn.Module, batch: Any) -> list[Any]:
        """Eval mode, no gradients: one prediction a sample of an eval batch, on the CPU."""

    @abstractmethod
    def score(
        self, predictions: Sequence[Any], samples: Sequence[Sample[Any]], labels: Sequence[str], recipe: Any
    ) -> dict[str, float]:
        """Metrics over a whole split; `best_metric` is among them. Predictions are in the samples' order."""

    @abstractmethod
    def report(
        self,
        folder: Path,
        predictions: Sequence[Any],
        samples: Sequence[Sample[Any]],
        labels: Sequence[str],
        recipe: Any,
    ) -> None:
        """Write figures and tables of the best checkpoint on val into the run folder."""

    # ---- view

    @abstractmethod
    def panel(self, item: Any, labels: Sequence[str]) -> Panel:
        """A training item drawn: its model input with the truth on it, and a caption."""

    @abstractmethod
    def count(self, truth: Any, labels: Sequence[str]) -> Counter[str]:
        """How much of each label a truth holds, in `unit`."""

    def unaugmented_set(self, samples: Sequence[Sample[Any]], recipe: Any) -> Dataset[Any]:
        """Training items without augmentation, `dataset[index]`; by default those of evaluation."""
        return self.eval_set(samples, recipe)

    def object_sides_px(self, truth: Any, labels: Sequence[str]) -> Mapping[str, npt.NDArray[np.float64]] | None:
        """Label -> the square root of each object's area, in pixels of its image; None: the task has no objects."""
        return None

    # ---- diagnosis

    def initial_loss(self, recipe: Any, classes: int) -> dict[str, float]:
        """Parts of the loss of a network that finds all classes equally likely, in nats; empty: none is known."""
        return {}

    def chance_error(self, samples: Sequence[Sample[Any]]) -> float | None:
        """Error of always giving the commonest answer, as 1 - `best_metric`; None: not defined for the task."""
        return None

    def confident_mistakes(
        self, predictions: Sequence[Any], samples: Sequence[Sample[Any]], *, confidence: float
    ) -> float | None:
        """Share of samples with a wrong prediction of at least this probability; None: not defined for the task."""
        return None
