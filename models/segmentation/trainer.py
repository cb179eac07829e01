"""Training of semantic segmentation (`SegmentationTrainer`)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.errors import BadRecipe, UnknownName
from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess
from foveal.metrics.semantic import IGNORE, score_segmentation
from foveal.models.backbones import backbone, multi_scale
from foveal.models.backbones.normalization import Normalize
from foveal.models.data.dataset import Sample
from foveal.models.data.panels import Panel, tint
from foveal.models.data.source_images import SampleCache
from foveal.models.segmentation.items import AugmentedMaps, Item, Maps, RandomParts, source_map, warp_of
from foveal.models.segmentation.layouts import LabelMap, UInt8Array
from foveal.models.segmentation.losses import cross_entropy, dice_loss
from foveal.models.segmentation.network import ARCHITECTURES, Segmenter
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.models.segmentation.scoring import result_of
from foveal.models.training.task import TaskTrainer
from foveal.tasks.semantic_segmentation import SemanticMap

REPORTED = 6  # images of val in the run folder


class SegmentationTrainer(TaskTrainer):
    """One class a pixel; `TaskTrainer` says what each method is for."""

    name = "semantic-segmentation"
    recipe_type = SegmentationRecipe
    best_metric = "miou"
    unit = "pixels"
    counts_at_once = False
    memorised_loss = 0.3

    def architecture(self, recipe: SegmentationRecipe) -> str:
        """Decoder and backbone."""
        return f"{recipe.architecture}-{recipe.backbone}"

    def preprocess(self, recipe: SegmentationRecipe) -> Preprocess:
        """The resize of the recipe, the normalisation of the backbone."""
        spec = backbone(recipe.backbone)
        return Preprocess(mode=recipe.resize_mode, input_hw=recipe.input_hw, mean=spec.mean, std=spec.std)

    def build(self, recipe: SegmentationRecipe, labels: Sequence[str], *, weights: str) -> nn.Module:
        """Backbone with weights, new decoder."""
        trained_hw = recipe.crop_hw or recipe.input_hw
        if any(side % 32 for side in (*recipe.input_hw, *trained_hw)):
            raise BadRecipe(f"expected multiples of 32 px, got input_hw {recipe.input_hw}, crop_hw {recipe.crop_hw}")
        if recipe.rotate_90 and trained_hw[0] != trained_hw[1]:
            raise BadRecipe(f"rotate_90: expected a square crop_hw (or input_hw), got {trained_hw}")
        if recipe.architecture not in ARCHITECTURES:
            raise UnknownName.among("architecture", recipe.architecture, ARCHITECTURES)
        spec = backbone(recipe.backbone)
        decoder = ARCHITECTURES[recipe.architecture](multi_scale(recipe.backbone, weights), len(labels))
        return Segmenter(Normalize(spec.mean, spec.std), decoder)

    def backbone(self, network: nn.Module) -> nn.Module:
        """The encoder."""
        assert isinstance(network, Segmenter)
        encoder = network.decoder.encoder
        assert isinstance(encoder, nn.Module)
        return encoder

    def train_set(self, samples: Sequence[Sample[LabelMap]], recipe: SegmentationRecipe) -> Dataset[Any]:
        """Augmented model inputs and truths."""
        preprocess = self.preprocess(recipe)
        if warp_of(recipe) is None:
            return AugmentedMaps(Maps(samples, preprocess), recipe)
        make = partial(source_map, preprocess=preprocess, zoom=recipe.scale_max)
        return AugmentedMaps(RandomParts(SampleCache(samples, make), recipe, preprocess), recipe)

    def eval_set(self, samples: Sequence[Sample[LabelMap]], recipe: SegmentationRecipe) -> Dataset[Any]:
        """Model inputs and truths as in production."""
        return Maps(samples, self.preprocess(recipe))

    def collate(self, items: list[Item]) -> Item:
        """(uint8 (N, H, W, 3), uint8 (N, H, W))."""
        return torch.stack([model_input for model_input, _ in items]), torch.stack([truth for _, truth in items])

    def loss(self, network: nn.Module, batch: Item, recipe: SegmentationRecipe) -> Mapping[str, Tensor]:
        """Cross-entropy, Dice or their sum, over the pixels that count."""
        model_inputs, truths = batch
        logits, wanted = network(model_inputs), truths.long()
        parts = {}
        if recipe.loss != "dice":
            parts["cross_entropy"] = cross_entropy(logits, wanted, weighted=recipe.class_weights)
        if recipe.loss != "cross-entropy":
            parts["dice"] = dice_loss(logits, wanted)
        return parts

    def predict(self, network: nn.Module, batch: Item) -> list[UInt8Array]:
        """The model input's class map (H, W) uint8 a sample."""
        return list(network(batch[0]).argmax(1).to(torch.uint8).cpu().numpy())

    def score(
        self,
        predictions: Sequence[UInt8Array],
        samples: Sequence[Sample[LabelMap]],
        labels: Sequence[str],
        recipe: SegmentationRecipe,
    ) -> dict[str, float]:
        """Figures of the core's scorer, at the images' original sizes."""
        preprocess, names = self.preprocess(recipe), tuple(labels)
        truths = [sample.truth for sample in samples]
        results = [result_of(p, t.read(), preprocess, names) for p, t in zip(predictions, truths, strict=True)]
        return score_segmentation(results, truths, names).values

    def report(
        self,
        folder: Path,
        predictions: Sequence[UInt8Array],
        samples: Sequence[Sample[LabelMap]],
        labels: Sequence[str],
        recipe: SegmentationRecipe,
    ) -> None:
        """samples.png: image, truth and prediction of some of val, side by side."""
        preprocess, names = self.preprocess(recipe), tuple(labels)
        rows = []
        step = max(1, len(samples) // REPORTED)
        for sample, predicted in list(zip(samples, predictions, strict=True))[::step][:REPORTED]:
            rgb, truth = decode(sample.path.read_bytes()).rgb, sample.truth.read()
            shown = result_of(predicted, truth, preprocess, names)
            real = SemanticMap(np.where(truth == IGNORE, shown.class_map, truth), names, shown.image_hw)
            panels = [rgb, real.overlay(rgb), shown.overlay(rgb)]
            rows.append(np.hstack([cv2.resize(p, (400, 300), interpolation=cv2.INTER_AREA) for p in panels]))
        cv2.imwrite(str(folder / "samples.png"), np.vstack(rows)[:, :, ::-1])

    def panel(self, item: Item, labels: Sequence[str]) -> Panel:
        """Every class in its colour; what is ignored stays as it is."""
        model_input, truth = (np.asarray(part) for part in item)
        rgb = model_input.copy()
        class_ids = [int(i) for i in np.unique(truth) if i != IGNORE]
        for class_id in class_ids:
            tint(rgb, truth == class_id, class_id)
        return rgb, ", ".join(labels[i] for i in class_ids)

    def count(self, truth: LabelMap, labels: Sequence[str]) -> Counter[str]:
        """Pixels of each class."""
        counts = np.bincount(truth.read().ravel(), minlength=IGNORE + 1)
        return Counter({label: int(n) for label, n in zip(labels, counts, strict=False)})

    def initial_loss(self, recipe: SegmentationRecipe, classes: int) -> dict[str, float]:
        """The entropy of equally likely classes; Dice depends on their sizes."""
        return {} if recipe.loss == "dice" else {"cross_entropy": math.log(classes)}
