"""Training of classification (`ClassificationTrainer`)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from foveal.errors import BadRecipe
from foveal.imaging.preprocess import Preprocess
from foveal.metrics.classification import confusion_matrix, macro_f1
from foveal.models.backbones import backbone, load_features
from foveal.models.backbones.depth import drop_branches
from foveal.models.backbones.normalization import Normalize
from foveal.models.classification.augmentation import RandomParts, augmentation, blend, warp_of
from foveal.models.classification.items import EvalInputs, TrainInputs
from foveal.models.classification.losses import focal_loss
from foveal.models.classification.network import Classifier
from foveal.models.classification.plots import draw_confusion
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.colour import MAX_COLOURED, colours_of
from foveal.models.data.dataset import Sample
from foveal.models.data.model_inputs import ModelInputs, made_of_all, make_model_input
from foveal.models.data.panels import Panel
from foveal.models.training.task import TaskTrainer

Shares = npt.NDArray[np.float64]
LogitsArray = np.ndarray[tuple[int], np.dtype[np.float32]]


class ClassificationTrainer(TaskTrainer):
    """One class id a sample; `TaskTrainer` says what each method is for."""

    name = "classification"
    recipe_type = ClassificationRecipe
    best_metric = "accuracy"
    also_shown = ("macro_f1",)
    unit = "images"
    memorised_loss = 0.1

    def architecture(self, recipe: ClassificationRecipe) -> str:
        """The backbone's name."""
        return recipe.backbone

    def preprocess(self, recipe: ClassificationRecipe) -> Preprocess:
        """The resize of the recipe, the normalisation of the backbone."""
        spec = backbone(recipe.backbone)
        crop = recipe.resize_mode == "center_crop"
        return Preprocess(
            mode=recipe.resize_mode,
            input_hw=recipe.input_hw,
            shorter_px=round(max(recipe.input_hw) / 0.875) if crop else None,
            mean=spec.mean,
            std=spec.std,
        )

    def build(self, recipe: ClassificationRecipe, labels: Sequence[str], *, weights: str) -> nn.Module:
        """Backbone with weights, new head."""
        spec = backbone(recipe.backbone)
        if min(recipe.input_hw) < spec.smallest_px:
            smallest = f"at least {spec.smallest_px} px a side for {spec.name}"
            raise BadRecipe(f"input_hw: expected {smallest}, got {recipe.input_hw}")
        features = load_features(recipe.backbone, weights)
        drop_branches(features, recipe.stochastic_depth, name=spec.name)
        normalize, mirrored = Normalize(spec.mean, spec.std), recipe.tta == "flip"
        return Classifier(normalize, features, spec.out_channels, len(labels), recipe.dropout, mirrored=mirrored)

    def backbone(self, network: nn.Module) -> nn.Module:
        """Everything but the linear layer."""
        features = network.backbone
        assert isinstance(features, nn.Module)
        return features

    def prepare(self, network: nn.Module, samples: Sequence[Sample[int]], recipe: ClassificationRecipe) -> None:
        """The weights of classes, where the recipe asks for them."""
        if recipe.class_weights:
            assert isinstance(network, Classifier)
            counts = _counts(samples, network.head.out_features)
            network.class_weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)

    def sampling_shares(self, samples: Sequence[Sample[int]], recipe: ClassificationRecipe) -> Shares | None:
        """Every class alike with balanced sampling."""
        if recipe.sampling == "natural":
            return None
        truths = np.array([sample.truth for sample in samples])
        shares = 1 / _counts(samples, truths.max() + 1)[truths]
        return np.asarray(shares / shares.sum(), np.float64)

    def train_set(self, samples: Sequence[Sample[int]], recipe: ClassificationRecipe) -> Dataset[Any]:
        """Augmented model inputs."""
        preprocess = self.preprocess(recipe)
        exact = warp_of(recipe) is None
        inputs = ModelInputs(samples, preprocess) if exact else RandomParts(samples, preprocess, recipe)
        colours = None
        if recipe.colour_pca:
            some = samples[:: -(-len(samples) // MAX_COLOURED)]
            colours = colours_of(made_of_all(some, partial(make_model_input, preprocess=preprocess)))
        return TrainInputs(samples, inputs, augmentation(recipe, preprocess, colours))

    def eval_set(self, samples: Sequence[Sample[int]], recipe: ClassificationRecipe) -> Dataset[Any]:
        """Model inputs as in production."""
        return EvalInputs(samples, self.preprocess(recipe))

    def collate(self, items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        """(uint8 (N, H, W, 3), int64 (N,))."""
        return torch.stack([model_input for model_input, _ in items]), torch.tensor([truth for _, truth in items])

    def loss(
        self, network: nn.Module, batch: tuple[Tensor, Tensor], recipe: ClassificationRecipe
    ) -> Mapping[str, Tensor]:
        """Cross-entropy or focal loss, with label smoothing (Szegedy et al., CVPR 2016), on blended batches."""
        model_inputs, truths = batch
        assert isinstance(network, Classifier)
        if network.training:
            model_inputs, truths = blend(model_inputs, truths, recipe, classes=network.head.out_features)
        logits = network(model_inputs)
        how: dict[str, Any] = {"label_smoothing": recipe.label_smoothing, "weight": network.class_weights}
        if recipe.loss == "focal":
            return {"focal": focal_loss(logits, truths, gamma=recipe.focal_gamma, **how)}
        return {"cross_entropy": F.cross_entropy(logits, truths, **how)}

    def predict(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> list[LogitsArray]:
        """Logits (C,) float32 a sample."""
        return list(network(batch[0]).float().cpu().numpy())

    def score(
        self,
        predictions: Sequence[LogitsArray],
        samples: Sequence[Sample[int]],
        labels: Sequence[str],
        recipe: ClassificationRecipe,
    ) -> dict[str, float]:
        """Top-1 accuracy, macro-F1 over the classes that occur, and mean cross-entropy (nats, no smoothing)."""
        logits = torch.from_numpy(np.stack(predictions))
        truths = torch.tensor([sample.truth for sample in samples])
        answers = logits.argmax(1)
        return {
            "accuracy": (answers == truths).double().mean().item(),
            "macro_f1": macro_f1(confusion_matrix(truths.numpy(), answers.numpy(), len(labels))),
            "loss": F.cross_entropy(logits, truths).item(),
        }

    def report(
        self,
        folder: Path,
        predictions: Sequence[LogitsArray],
        samples: Sequence[Sample[int]],
        labels: Sequence[str],
        recipe: ClassificationRecipe,
    ) -> None:
        """confusion.png."""
        truths = np.array([sample.truth for sample in samples])
        counts = confusion_matrix(truths, np.stack(predictions).argmax(axis=1), len(labels))
        draw_confusion(folder / "confusion.png", counts, labels)

    def panel(self, item: tuple[Tensor, int], labels: Sequence[str]) -> Panel:
        """The label as caption."""
        model_input, truth = item
        return np.asarray(model_input), labels[int(truth)]

    def count(self, truth: int, labels: Sequence[str]) -> Counter[str]:
        """One image of its class."""
        return Counter({labels[truth]: 1})

    def initial_loss(self, recipe: ClassificationRecipe, classes: int) -> dict[str, float]:
        """The entropy of equally likely classes; focal loss scales it by the share that is wrong."""
        nats = math.log(classes)
        if recipe.loss == "focal":
            return {"focal": nats * (1 - 1 / classes) ** recipe.focal_gamma}
        return {"cross_entropy": nats}

    def chance_error(self, samples: Sequence[Sample[int]]) -> float:
        """Of always answering with the commonest class."""
        return 1.0 - max(Counter(sample.truth for sample in samples).values()) / len(samples)

    def confident_mistakes(
        self, predictions: Sequence[LogitsArray], samples: Sequence[Sample[int]], *, confidence: float
    ) -> float:
        """Share of samples whose first class is not their label and has at least this probability."""
        probabilities = torch.from_numpy(np.stack(predictions)).softmax(1)
        truths = torch.tensor([sample.truth for sample in samples])
        highest, answers = probabilities.max(1)
        return ((answers != truths) & (highest >= confidence)).double().mean().item()


def _counts(samples: Sequence[Sample[int]], classes: int) -> npt.NDArray[np.int64]:
    """(classes,) training samples of each class, at least 1."""
    return np.maximum(np.bincount([sample.truth for sample in samples], minlength=classes), 1)
