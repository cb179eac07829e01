"""Parts of a training (`TrainingParts`): its network, batches and single losses, without the loop around them."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from foveal.models.data.dataset import DataSet, Sample
from foveal.models.data.loading import SampleKey, derived_seed, train_loader
from foveal.models.readers import reader_of
from foveal.models.recipe import Recipe
from foveal.models.tasks import trainer_of
from foveal.models.training.initialization import initialise
from foveal.models.training.task import TaskTrainer


@dataclass(frozen=True)
class TrainingParts:
    """One task, recipe and data set."""

    task: TaskTrainer
    recipe: Any  # a Recipe of the task's own type
    data: DataSet[Any]

    @classmethod
    def of(cls, recipe: Recipe, data_root: Path) -> "TrainingParts":
        """Read the data set as a training would."""
        return cls(trainer_of(recipe.task), recipe, reader_of(recipe.task).load(data_root, recipe))

    def network(self) -> nn.Module:
        """A fresh one, the same each time."""
        torch.manual_seed(self.recipe.seed)
        network = self.task.build(self.recipe, self.data.labels, weights=self.recipe.weights)
        initialise(self.task.backbone(network), self.recipe.init)
        self.task.prepare(network, self.data.splits.train, self.recipe)
        return network

    def batches(self) -> Iterator[Any]:
        """Augmented training batches as a run would see them, epoch after epoch without an end."""
        samples, recipe = self.data.splits.train, self.recipe
        dataset = self.task.train_set(samples, recipe)
        shares = self.task.sampling_shares(samples, recipe)
        how: dict[str, Any] = {"seed": recipe.seed, "workers": 0, "shares": shares}
        loader = train_loader(dataset, len(samples), recipe.batch_size, self.task.collate, **how)
        for epoch in range(2**31):
            loader.sampler.set_epoch(epoch)
            yield from loader

    def fixed(self, samples: Sequence[Sample[Any]]) -> list[Any]:
        """The samples as training items without augmentation, in order."""
        dataset = self.task.train_set(samples, self.recipe.unregularised())
        epoch = self.recipe.epochs  # past the last: nothing is composed of several images
        return [dataset[SampleKey(i, derived_seed(self.recipe.seed, i), epoch)] for i in range(len(samples))]

    def sample_losses(self, network: nn.Module, samples: Sequence[Sample[Any]]) -> list[float]:
        """The loss of each sample alone, as a training would count it, with nothing random in it."""
        network = without_randomness(copy.deepcopy(network), freeze_batchnorm=True)
        recipe = self.recipe.unregularised()
        found = []
        with torch.no_grad():
            for item in self.fixed(samples):
                torch.manual_seed(recipe.seed)  # detectors sample their proposals
                found.append(total_loss(self.task.loss(network, self.task.collate([item]), recipe)).item())
        return found


def without_randomness(network: nn.Module, *, freeze_batchnorm: bool = False) -> nn.Module:
    """The network itself, in training mode, its dropout and stochastic depth turned off."""
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d, StochasticDepth)):
            module.p = 0.0
        elif freeze_batchnorm and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return network


def total_loss(losses: Any) -> Tensor:
    """The sum of a loss' parts."""
    return torch.stack(list(losses.values())).sum()


def evenly_spaced(samples: Sequence[Sample[Any]], count: int) -> list[Sample[Any]]:
    """At most `count` samples, evenly over the split, which is sorted by name and so by class folder."""
    if len(samples) <= count:
        return list(samples)
    return [samples[i * len(samples) // count] for i in range(count)]
