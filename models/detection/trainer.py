"""The plugs of object detection and instance segmentation into the training loop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.imaging.preprocess import Preprocess
from foveal.metrics import scoring
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import DataSet, Sample
from foveal.models.detection.items import Batch, EvalItems, Item, TrainItems, collate
from foveal.models.detection.layouts.read import load_objects
from foveal.models.detection.networks import architectures
from foveal.models.detection.networks.onestage import OneStageDetector
from foveal.models.detection.networks.published import published_layers
from foveal.models.detection.networks.rcnn import TwoStageDetector
from foveal.models.detection.plots import draw_precision_recall
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.detection.scoring import Found, coco_scores, detections_of
from foveal.models.training.run_folder import read_info


class DetectionTrainer:
    """Detection's plug; foveal.models.tasks.TaskTrainer says what each method is for."""

    name: str = "object-detection"
    recipe_type: type[DetectionRecipe] = DetectionRecipe
    best_metric = "AP50"

    def load_data(self, root: Path, recipe: DetectionRecipe) -> DataSet[ObjectTruth]:
        """COCO, VOC, YOLO or instance-id maps."""
        return load_objects(root, recipe)

    def architecture(self, recipe: DetectionRecipe) -> str:
        """Detector and backbone."""
        return architectures.name_of(recipe)

    def preprocess(self, recipe: DetectionRecipe) -> Preprocess:
        """Letterbox, so that shapes stay shapes."""
        mean, std = architectures.input_statistics(recipe)
        return Preprocess(mode="letterbox", input_hw=recipe.input_hw, mean=mean, std=std)

    def build(self, recipe: DetectionRecipe, labels: Sequence[str], *, weights: str) -> nn.Module:
        """The detector."""
        network = architectures.build(recipe, classes=len(labels), weights=weights)
        return network.to(memory_format=torch.channels_last)

    def backbone(self, network: nn.Module) -> nn.Module:
        """The backbone; of a network that came whole, everything but the layers that name classes."""
        assert isinstance(network, TwoStageDetector | OneStageDetector)
        return published_layers(network) if network.new_layers else network.get_submodule("backbone.body")

    def train_set(self, samples: Sequence[Sample[ObjectTruth]], recipe: DetectionRecipe) -> Dataset[Any]:
        """Augmented model inputs with targets."""
        return TrainItems(samples, self.preprocess(recipe), recipe)

    def eval_set(self, samples: Sequence[Sample[ObjectTruth]], recipe: DetectionRecipe) -> Dataset[Any]:
        """Plain model inputs."""
        return EvalItems(samples, self.preprocess(recipe))

    def collate(self, items: list[Item]) -> Batch:
        """See model inputs.collate."""
        return collate(items)

    def loss(self, network: nn.Module, batch: Batch, recipe: DetectionRecipe) -> Mapping[str, Tensor]:
        """The network's own losses."""
        losses = network(batch["images"], batch["content_hw"], batch["targets"])
        return {name.removeprefix("loss_"): value for name, value in losses.items()}

    def predict(self, network: nn.Module, batch: Batch) -> list[Found]:
        """Detections in model-input pixels."""
        return [_found(found) for found in network(batch["images"], batch["content_hw"])]

    def score(
        self,
        predictions: Sequence[Found],
        samples: Sequence[Sample[ObjectTruth]],
        labels: Sequence[str],
        recipe: DetectionRecipe,
    ) -> dict[str, float]:
        """COCO AP, all in original pixels."""
        results = detections_of(predictions, samples, labels, self.preprocess(recipe))
        return coco_scores(results, [sample.truth for sample in samples], labels)

    def report(
        self, folder: Path, predictions: Sequence[Found], samples: Sequence[Sample[ObjectTruth]], labels: Sequence[str]
    ) -> None:
        """precision_recall.png."""
        results = detections_of(predictions, samples, labels, read_info(folder).preprocess)
        scores = scoring(self.name).score(results, [sample.truth for sample in samples], tuple(labels))
        draw_precision_recall(folder / "precision_recall.png", scores)


class InstanceTrainer(DetectionTrainer):
    """Instance segmentation: detection, and a mask in each box."""

    name: str = "instance-segmentation"
    recipe_type: type[DetectionRecipe] = InstanceRecipe
    best_metric = "AP"


def _found(raw: dict[str, Tensor]) -> Found:
    masks = raw["masks"].cpu().numpy() if "masks" in raw else None
    return Found(raw["boxes"].cpu().numpy(), raw["scores"].cpu().numpy(), raw["labels"].cpu().numpy(), masks)
