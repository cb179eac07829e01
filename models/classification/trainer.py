"""Classification: one label an image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from foveal.errors import BadRecipe
from foveal.imaging.preprocess import Preprocess
from foveal.models.backbones import backbone, load_features
from foveal.models.backbones.depth import drop_branches
from foveal.models.backbones.normalization import Normalize
from foveal.models.classification.layouts import load_folders
from foveal.models.classification.losses import focal_loss
from foveal.models.data.colour import MAX_COLOURED, ColourJitterAlongComponents, Colours, colours_of
from foveal.models.data.dataset import DataSet, Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.data.model_inputs import ModelInputs, UInt8Array
from foveal.models.recipe import Recipe
from foveal.models.training.plots import draw_confusion

LogitsArray = np.ndarray[tuple[int], np.dtype[np.float32]]


class ClassificationRecipe(Recipe):
    """Fields that only classification has."""

    task: Literal["classification"] = Field("classification", description="what the model answers")
    architecture: Literal["pooled-linear"] = Field(
        "pooled-linear", description="backbone, average pooling, dropout, one linear layer"
    )
    resize_mode: Literal["stretch", "letterbox", "center_crop"] = Field(
        "center_crop",
        description="how an image of another shape meets the model input; center_crop cuts 12.5 % of it off",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of pooled features dropped in training")
    stochastic_depth: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="chance that the last residual branch is skipped in training, falling linearly to 0 at the first "
        "(Huang et al. 2016); none: as the backbone has it",
    )
    loss: Literal["cross-entropy", "focal"] = Field(
        "cross-entropy", description="focal: easy samples count less (Lin et al. 2017), for rare classes"
    )
    focal_gamma: float = Field(2.0, ge=0, description="of the focal loss; 0 is cross-entropy")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over all classes")
    mixup: float = Field(
        0.0, ge=0, description="alpha of Beta(alpha, alpha): batches blended with themselves (Zhang et al. 2018); 0 off"
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        description="alpha: rectangles exchanged instead (Yun et al. 2019); with mixup, a coin decides a batch",
    )

    scale_min: float = Field(
        0.6, gt=0, le=1, description="random crop: smallest share of the model input's area; 1 is off"
    )
    flip: bool = Field(True, description="mirror half of the images left to right")
    rotate_deg: float = Field(10, ge=0, le=180, description="random rotation up to this angle either way")
    brightness: float = Field(0.2, ge=0, le=1, description="random factor 1 ± this; also contrast")
    saturation: float = Field(0.2, ge=0, le=1, description="random factor 1 ± this")
    hue: float = Field(0.02, ge=0, le=0.5, description="random shift up to this share of the colour circle")
    colour_pca: float = Field(
        0.0,
        ge=0,
        description="AlexNet's colour change: random shifts along the principal components of the training images' "
        "colours, of this share of their spread; 0.1 in the paper",
    )
    erase: float = Field(0.0, ge=0, le=1, description="share of images with a random rectangle blanked")
    tta: Literal["none", "flip"] = Field(
        "none",
        description="test-time augmentation: val, test and the package answer with the mean logits of an image and "
        "its mirror image, at twice the time; needs flip",
    )

    @model_validator(mode="after")
    def _mirror_images_are_known(self) -> Self:
        if self.tta == "flip" and not self.flip:
            raise ValueError("tta: expected flip = true with it, since training must have seen mirror images")
        return self


class Classifier(nn.Module):
    """uint8 (N, H, W, 3) model inputs -> logits (N, classes) float32."""

    def __init__(
        self,
        normalize: Normalize,
        features: nn.Module,
        channels: int,
        classes: int,
        dropout: float,
        *,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.normalize = normalize
        self.backbone = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch; in eval mode, if so built, their mean over each image and its mirror image."""
        planes = self.normalize(images)
        if self.training or not self.mirrored:
            return self._logits(planes)
        return (self._logits(planes) + self._logits(planes.flip(3))) / 2

    def _logits(self, planes: Tensor) -> Tensor:
        features = self.backbone(planes)  # (N, C, h, w)
        logits: Tensor = self.head(self.dropout(features.mean((2, 3))))
        return logits


class EvalInputs(Dataset[tuple[Tensor, int]]):
    """Model inputs as production makes them: item i is (uint8 (H, W, 3), class id)."""

    def __init__(self, samples: Sequence[Sample[int]], preprocess: Preprocess) -> None:
        self._inputes = ModelInputs(samples, preprocess)
        self._truths = [sample.truth for sample in samples]

    def __len__(self) -> int:
        return len(self._truths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._inputes[index]), self._truths[index]

    def every(self, at_most: int) -> Iterator[UInt8Array]:
        """Model inputs spread evenly over the samples."""
        step = -(-len(self) // at_most)
        return (self._inputes[i] for i in range(0, len(self), step))


class TrainInputs(Dataset[tuple[Tensor, int]]):
    """The same model inputs, augmented by each draw's own seed."""

    def __init__(self, plain: EvalInputs, augment: v2.Transform) -> None:
        self._plain, self._augment = plain, augment

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, int]:
        model_input, truth = self._plain[key.index]
        with seeded(key.seed):
            planes = self._augment(model_input.permute(2, 0, 1))
        return planes.permute(1, 2, 0).contiguous(), truth


def augmentation(recipe: ClassificationRecipe, preprocess: Preprocess, colours: Colours | None = None) -> v2.Transform:
    """Random augmentation of a uint8 (3, H, W) model input; `colours` are for colour_pca."""
    fill = list(preprocess.padding_rgb)
    steps: list[Any] = [v2.Identity()]
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.rotate_deg:
        steps.append(v2.RandomRotation(recipe.rotate_deg, InterpolationMode.BILINEAR, fill=fill))
    if recipe.scale_min < 1:
        steps.append(v2.RandomResizedCrop(preprocess.input_hw, scale=(recipe.scale_min, 1), ratio=(0.8, 1.25)))
    if recipe.brightness or recipe.saturation or recipe.hue:
        steps.append(v2.ColorJitter(recipe.brightness, recipe.brightness, recipe.saturation, recipe.hue))
    if colours is not None:
        steps.append(ColourJitterAlongComponents(colours, recipe.colour_pca))
    if recipe.erase:
        steps.append(v2.RandomErasing(recipe.erase, value=fill))
    return v2.Compose(steps)


def blend(model_inputs: Tensor, truths: Tensor, recipe: ClassificationRecipe, *, classes: int) -> tuple[Tensor, Tensor]:
    """The batch mixed with itself, by torchvision, as the recipe says.

    Args:
        model_inputs: (N, H, W, 3) uint8.
        truths: (N,) int64.
        recipe: mixup and cutmix; with neither, the batch comes back as it is.
        classes: how many there are.

    Returns:
        (N, H, W, 3) float32 in [0, 255] and (N, classes) float32 shares that sum to 1.
    """
    choices = ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
    ways = [way(alpha=alpha, num_classes=classes) for way, alpha in choices if alpha]
    if not ways:
        return model_inputs, truths
    planes, shares = v2.RandomChoice(ways)(model_inputs.permute(0, 3, 1, 2).float(), truths)
    return planes.permute(0, 2, 3, 1), shares


class ClassificationTrainer:
    """Classification's plug into the training loop; foveal.models.tasks.TaskTrainer says what each method is for."""

    name: str = "classification"
    recipe_type = ClassificationRecipe
    best_metric = "accuracy"

    def load_data(self, root: Path, recipe: ClassificationRecipe) -> DataSet[int]:
        """Folders of classes."""
        return load_folders(root, recipe)

    def architecture(self, recipe: ClassificationRecipe) -> str:
        """The backbone says it all."""
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

    def train_set(self, samples: Sequence[Sample[int]], recipe: ClassificationRecipe) -> Dataset[Any]:
        """Augmented model inputs."""
        preprocess = self.preprocess(recipe)
        plain = EvalInputs(samples, preprocess)
        colours = colours_of(plain.every(MAX_COLOURED)) if recipe.colour_pca else None
        return TrainInputs(plain, augmentation(recipe, preprocess, colours))

    def eval_set(self, samples: Sequence[Sample[int]], recipe: ClassificationRecipe) -> Dataset[Any]:
        """Plain model inputs."""
        return EvalInputs(samples, self.preprocess(recipe))

    def collate(self, items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        """(uint8 (N, H, W, 3), int64 (N,))."""
        return torch.stack([model_input for model_input, _ in items]), torch.tensor([truth for _, truth in items])

    def loss(
        self, network: nn.Module, batch: tuple[Tensor, Tensor], recipe: ClassificationRecipe
    ) -> Mapping[str, Tensor]:
        """Cross-entropy or focal loss, with label smoothing (Szegedy et al., CVPR 2016), on blended batches."""
        model_inputs, truths = batch
        if network.training:
            head = network.head
            assert isinstance(head, nn.Linear)
            model_inputs, truths = blend(model_inputs, truths, recipe, classes=head.out_features)
        logits, smoothing = network(model_inputs), recipe.label_smoothing
        if recipe.loss == "focal":
            return {"focal": focal_loss(logits, truths, gamma=recipe.focal_gamma, label_smoothing=smoothing)}
        return {"cross_entropy": F.cross_entropy(logits, truths, label_smoothing=smoothing)}

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
        """Top-1 accuracy and mean cross-entropy (nats, no smoothing)."""
        logits = torch.from_numpy(np.stack(predictions))
        truths = torch.tensor([sample.truth for sample in samples])
        return {
            "accuracy": (logits.argmax(1) == truths).double().mean().item(),
            "loss": F.cross_entropy(logits, truths).item(),
        }

    def report(
        self, folder: Path, predictions: Sequence[LogitsArray], samples: Sequence[Sample[int]], labels: Sequence[str]
    ) -> None:
        """confusion.png."""
        counts = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(counts, ([s.truth for s in samples], [int(p.argmax()) for p in predictions]), 1)
        draw_confusion(folder / "confusion.png", counts, labels)
