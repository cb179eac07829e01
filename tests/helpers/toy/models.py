"""The models' part of the toy task: recipe, reader, trainer."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.imaging.preprocess import Preprocess
from foveal.models.backbones.normalization import Normalize
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.data.model_inputs import ModelInputs
from foveal.models.data.panels import Panel
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Layout, Reader, Reading
from foveal.models.recipe import Recipe
from foveal.models.training.task import TaskTrainer
from foveal.text_files import read_text

NAME = "measurement"
LAYOUT = "values.csv"
Item = tuple[Tensor, float]
Batch = tuple[Tensor, Tensor]


def write_measured(root: Path, *, count: int = 24, side: int = 32) -> Path:
    """A data set: noisy grey images, measured by their brightness in [0, 1]."""
    random = np.random.default_rng(0)
    root.mkdir(parents=True)
    rows = ["name,value"]
    for i in range(count):
        value = round(float(random.uniform(0.1, 0.9)), 3)
        pixels = np.clip(random.normal(value * 255, 8, (side, side + i % 3, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i:02}.png")
        rows.append(f"{i:02}.png,{value}")
    (root / LAYOUT).write_text("\n".join(rows))
    return root


class MeasurementRecipe(Recipe):
    """Fields that only the toy task has."""

    task: Literal["measurement"] = Field("measurement", description="name of the task")
    architecture: Literal["mean"] = Field("mean", description="convolution, average pooling, one linear layer")
    input_hw: tuple[int, int] = Field((32, 32), description="height and width of the model input in px")
    weights: str = Field("none", description="initial weights of the backbone")
    mirror: bool = Field(True, description="mirror half of the images left to right")

    UNREGULARISED: ClassVar[Mapping[str, Any]] = {**Recipe.UNREGULARISED, "mirror": False}


def read_measured(folder: DataFolder, _: MeasurementRecipe) -> Reading[float] | None:
    """Images with a value each."""
    if not (folder.base / LAYOUT).is_file():
        return None
    rows = csv.DictReader(read_text(folder.base / LAYOUT).splitlines())
    samples = tuple(Sample(row["name"], folder.base / row["name"], float(row["value"])) for row in rows)
    return Reading(LAYOUT, ("brightness",), samples)


def examine(reading: Reading[float], _: MeasurementRecipe) -> Iterator[Finding]:
    """Values outside [0, 1]."""
    outside = (sample for sample in reading.samples if not 0 <= sample.truth <= 1)
    return (Finding("not a number", sample.name, f"outside 0..1: {sample.truth}") for sample in outside)


READER = Reader(
    (Layout(LAYOUT, read_measured),),
    MeasurementRecipe,
    examine,
    counts=lambda truth, labels: {labels[0]: 1},
    describe=lambda truth, labels: str(truth),
    noun="images",
)


class MeanNetwork(nn.Module):
    """uint8 (N, H, W, 3) model inputs -> (N,) float32."""

    def __init__(self, normalize: Normalize) -> None:
        super().__init__()
        self.normalize = normalize
        self.backbone = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(self.normalize(images)).mean((2, 3)))[:, 0]


class Measured(Dataset[Item]):
    """Items, mirrored by their key where there is one to mirror them by."""

    def __init__(self, samples: Sequence[Sample[float]], preprocess: Preprocess, *, mirror: bool = False) -> None:
        self._inputs, self._samples, self._mirror = ModelInputs(samples, preprocess), samples, mirror

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: Any) -> Item:
        index = key.index if isinstance(key, SampleKey) else key
        model_input = torch.from_numpy(self._inputs[index])
        if isinstance(key, SampleKey) and self._mirror:
            with seeded(key.seed):
                model_input = model_input.flip(1) if torch.rand(()) < 0.5 else model_input
        return model_input, self._samples[index].truth


class MeasurementTrainer(TaskTrainer):
    """One number an image."""

    name = NAME
    recipe_type = MeasurementRecipe
    best_metric = "accuracy"
    unit = "images"

    def architecture(self, recipe: MeasurementRecipe) -> str:
        return recipe.architecture

    def preprocess(self, recipe: MeasurementRecipe) -> Preprocess:
        return Preprocess(mode="stretch", input_hw=recipe.input_hw)

    def build(self, recipe: MeasurementRecipe, labels: Sequence[str], *, weights: str) -> nn.Module:
        preprocess = self.preprocess(recipe)
        return MeanNetwork(Normalize(preprocess.mean, preprocess.std))

    def backbone(self, network: nn.Module) -> nn.Module:
        return network.get_submodule("backbone")

    def train_set(self, samples: Sequence[Sample[float]], recipe: MeasurementRecipe) -> Measured:
        return Measured(samples, self.preprocess(recipe), mirror=recipe.mirror)

    def eval_set(self, samples: Sequence[Sample[float]], recipe: MeasurementRecipe) -> Measured:
        return Measured(samples, self.preprocess(recipe))

    def collate(self, items: list[Item]) -> Batch:
        return torch.stack([item[0] for item in items]), torch.tensor([item[1] for item in items])

    def loss(self, network: nn.Module, batch: Batch, recipe: MeasurementRecipe) -> Mapping[str, Tensor]:
        return {"squared": (network(batch[0]) - batch[1].float()).square().mean()}

    def predict(self, network: nn.Module, batch: Batch) -> list[float]:
        return network(batch[0]).tolist()

    def score(
        self,
        predictions: Sequence[float],
        samples: Sequence[Sample[float]],
        labels: Sequence[str],
        recipe: MeasurementRecipe,
    ) -> dict[str, float]:
        errors = [abs(p - s.truth) for p, s in zip(predictions, samples, strict=True)]
        return {"accuracy": 1 - float(np.mean(errors))}

    def report(
        self,
        folder: Path,
        predictions: Sequence[float],
        samples: Sequence[Sample[float]],
        labels: Sequence[str],
        recipe: MeasurementRecipe,
    ) -> None:
        lines = [f"{s.name} {s.truth:.3f} {p:.3f}" for p, s in zip(predictions, samples, strict=True)]
        (folder / "values.txt").write_text("\n".join(lines))

    def panel(self, item: Item, labels: Sequence[str]) -> Panel:
        return np.asarray(item[0]), f"{labels[0]} {item[1]:.2f}"

    def count(self, truth: float, labels: Sequence[str]) -> Counter[str]:
        return Counter({labels[0]: 1})
