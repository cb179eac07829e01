"""Training of object detection and instance segmentation (`DetectionTrainer`, `InstanceTrainer`)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.imaging.drawing import colour_of
from foveal.imaging.preprocess import Preprocess
from foveal.metrics import scoring
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.data.panels import Panel, line_px, tint
from foveal.models.detection.items import Batch, EvalItems, Item, TrainItems, UnaugmentedItems, collate
from foveal.models.detection.networks import architectures
from foveal.models.detection.networks.onestage import OneStageDetector
from foveal.models.detection.networks.published import published_layers
from foveal.models.detection.networks.rcnn import TwoStageDetector
from foveal.models.detection.plots import draw_precision_recall
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.detection.scoring import Found, coco_scores, detections_of
from foveal.models.training.task import TaskTrainer


class DetectionTrainer(TaskTrainer):
    """Boxes; `TaskTrainer` says what each method is for."""

    name: str = "object-detection"
    recipe_type: type[DetectionRecipe] = DetectionRecipe
    best_metric = "AP50"
    unit = "objects"
    memorised_loss = 0.5  # each step samples other proposals, and boxes take long

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
        """Model inputs as in production."""
        return EvalItems(samples, self.preprocess(recipe))

    def collate(self, items: list[Item]) -> Batch:
        """As items.collate."""
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
        self,
        folder: Path,
        predictions: Sequence[Found],
        samples: Sequence[Sample[ObjectTruth]],
        labels: Sequence[str],
        recipe: DetectionRecipe,
    ) -> None:
        """precision_recall.png."""
        results = detections_of(predictions, samples, labels, self.preprocess(recipe))
        scores = scoring(self.name).score(results, [sample.truth for sample in samples], tuple(labels))
        draw_precision_recall(folder / "precision_recall.png", scores)

    def unaugmented_set(self, samples: Sequence[Sample[ObjectTruth]], recipe: DetectionRecipe) -> Dataset[Any]:
        """Model inputs with targets; those of evaluation carry no truth."""
        return UnaugmentedItems(samples, self.preprocess(recipe), masks=isinstance(recipe, InstanceRecipe))

    def panel(self, item: Item, labels: Sequence[str]) -> Panel:
        """Boxes, and masks where there are any, in the colour of their class."""
        rgb, target = np.asarray(item["image"]).copy(), item["target"]
        class_ids = np.asarray(target["labels"]) - 1  # torchvision counts from 1
        for mask, class_id in zip(target.get("masks", ()), class_ids, strict=False):
            tint(rgb, np.asarray(mask).astype(bool), int(class_id))
        for box, class_id in zip(np.asarray(target["boxes"]).round().astype(int).tolist(), class_ids, strict=True):
            cv2.rectangle(rgb, box[:2], box[2:], colour_of(int(class_id)), line_px(rgb))
        counts = Counter(labels[int(i)] for i in class_ids)
        return rgb, ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"

    def count(self, truth: ObjectTruth, labels: Sequence[str]) -> Counter[str]:
        """Objects of each class, crowds included."""
        return Counter(labels[int(i)] for i in truth.class_ids)

    def object_sides_px(self, truth: ObjectTruth, labels: Sequence[str]) -> Mapping[str, npt.NDArray[np.float64]]:
        """Of masks where there are any, else of boxes; crowds are left out."""
        sides, class_ids = np.sqrt(truth.areas())[~truth.crowd], truth.class_ids[~truth.crowd]
        return {label: sides[class_ids == i] for i, label in enumerate(labels)}

    def initial_loss(self, recipe: DetectionRecipe, classes: int) -> dict[str, float]:
        """Of two-stage heads; one-stage heads start near their prior, and their loss depends on the objects' number."""
        if recipe.architecture not in ("fasterrcnn", "maskrcnn"):
            return {}
        return {"objectness": math.log(2), "classifier": math.log(classes + 1)}


class InstanceTrainer(DetectionTrainer):
    """Instance segmentation: detection, and a mask in each box."""

    name: str = "instance-segmentation"
    recipe_type: type[DetectionRecipe] = InstanceRecipe
    best_metric = "AP"


def _found(raw: dict[str, Tensor]) -> Found:
    masks = raw["masks"].cpu().numpy() if "masks" in raw else None
    return Found(raw["boxes"].cpu().numpy(), raw["scores"].cpu().numpy(), raw["labels"].cpu().numpy(), masks)
