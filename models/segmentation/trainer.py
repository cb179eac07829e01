"""Semantic segmentation: one class a pixel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from foveal.errors import BadRecipe, UnknownName
from foveal.imaging.class_map import to_image
from foveal.imaging.decode import decode
from foveal.imaging.preprocess import ImageTransform, Preprocess
from foveal.metrics.semantic import IGNORE, score_segmentation
from foveal.models.backbones import backbone, multi_scale
from foveal.models.backbones.normalization import Normalize
from foveal.models.data.dataset import DataSet, Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.segmentation.heads import ARCHITECTURES
from foveal.models.segmentation.layouts import LabelMap, UInt8Array, load_class_maps
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.tasks.semantic_segmentation import SemanticMap

Item = tuple[Tensor, Tensor]  # uint8 (H, W, 3) model input, uint8 (H, W) truth with IGNORE
REPORTED = 6  # images of val in the run folder


class Segmenter(nn.Module):
    """uint8 (N, H, W, 3) model inputs -> logits (N, classes, H, W) float32, upsampled bilinearly to the model input."""

    def __init__(self, normalize: Normalize, decoder: nn.Module) -> None:
        super().__init__()
        self.normalize, self.decoder = normalize, decoder

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch."""
        logits = self.decoder(self.normalize(images))
        return F.interpolate(logits, size=images.shape[1:3], mode="bilinear", align_corners=False)


class Maps(Dataset[Item]):
    """Model inputs and truths in memory: model inputs as production makes them, truths warped alike (nearest)."""

    def __init__(self, samples: Sequence[Sample[LabelMap]], preprocess: Preprocess) -> None:
        self._items = [_item(sample, preprocess) for sample in samples]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


def _item(sample: Sample[LabelMap], preprocess: Preprocess) -> Item:
    model_input, transform = preprocess.apply(decode(sample.path.read_bytes(), target_hw=preprocess.decode_target))
    truth = np.full(preprocess.input_hw, IGNORE, np.uint8)
    height, width = transform.content_hw
    size = (width, height)
    truth[:height, :width] = cv2.resize(sample.truth.read(), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return torch.from_numpy(model_input), torch.from_numpy(truth)


class AugmentedMaps(Dataset[Item]):
    """The same, augmented by each draw's own seed: image and truth together."""

    def __init__(self, plain: Maps, recipe: SegmentationRecipe, preprocess: Preprocess) -> None:
        self._plain, self._recipe = plain, recipe
        fill = {tv_tensors.Image: list(preprocess.padding_rgb), tv_tensors.Mask: IGNORE}
        scale, r = (recipe.scale_min, recipe.scale_max), recipe
        steps: list[Any] = [
            v2.ScaleJitter(preprocess.input_hw, scale, interpolation=InterpolationMode.BILINEAR, antialias=True),
            v2.RandomCrop(recipe.crop_hw or recipe.input_hw, pad_if_needed=True, fill=fill),
        ]
        if recipe.flip:
            steps.append(v2.RandomHorizontalFlip())
        if recipe.brightness or recipe.saturation or recipe.hue:
            steps.append(v2.ColorJitter(r.brightness, r.brightness, r.saturation, r.hue))
        self._augment = v2.Compose(steps)

    def __getitem__(self, key: SampleKey) -> Item:
        model_input, truth = self._plain[key.index]
        with seeded(key.seed):
            image, mask = self._augment(tv_tensors.Image(model_input.permute(2, 0, 1)), tv_tensors.Mask(truth[None]))
            if self._recipe.rotate_90:
                turns = int(torch.randint(4, (1,)))
                image, mask = torch.rot90(image, turns, (1, 2)), torch.rot90(mask, turns, (1, 2))
        return image.permute(1, 2, 0).contiguous(), mask[0].contiguous()


class SegmentationTrainer:
    """Semantic segmentation's plug into the training loop; TaskTrainer says what each method is for."""

    name: str = "semantic-segmentation"
    recipe_type = SegmentationRecipe
    best_metric = "miou"

    def load_data(self, root: Path, recipe: SegmentationRecipe) -> DataSet[LabelMap]:
        """images/ and masks/."""
        return load_class_maps(root, recipe)

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
        return AugmentedMaps(Maps(samples, preprocess), recipe, preprocess)

    def eval_set(self, samples: Sequence[Sample[LabelMap]], recipe: SegmentationRecipe) -> Dataset[Any]:
        """Plain ones."""
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
            weight = _class_weights(wanted, logits.shape[1]) if recipe.class_weights else None
            parts["cross_entropy"] = F.cross_entropy(logits, wanted, weight, ignore_index=IGNORE)
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
    ) -> None:
        """samples.png: image, truth and prediction of some of val, side by side."""
        rows = []
        step = max(1, len(samples) // REPORTED)
        for sample, predicted in list(zip(samples, predictions, strict=True))[::step][:REPORTED]:
            rgb, truth = decode(sample.path.read_bytes()).rgb, sample.truth.read()
            image_hw = (truth.shape[0], truth.shape[1])
            # the report has no recipe: the map's shape is the model input's, and letterbox and stretch differ in
            # content
            shown = result_of(predicted, truth, Preprocess(mode="letterbox", input_hw=_hw(predicted)), tuple(labels))
            real = SemanticMap(np.where(truth == IGNORE, shown.class_map, truth), tuple(labels), image_hw)
            panels = [rgb, real.overlay(rgb), shown.overlay(rgb)]
            rows.append(np.hstack([cv2.resize(p, (400, 300), interpolation=cv2.INTER_AREA) for p in panels]))
        cv2.imwrite(str(folder / "samples.png"), np.vstack(rows)[:, :, ::-1])


def dice_loss(logits: Tensor, truths: Tensor) -> Tensor:
    """1 - mean over classes of the soft Dice coefficient (Milletari, Navab, Ahmadi, "V-Net", 3DV 2016).

    `logits` are (N, C, H, W), `truths` (N, H, W) int64 with IGNORE; classes absent from the batch's truth do not count.
    """
    classes = logits.shape[1]
    counted = (truths != IGNORE)[:, None]
    wanted = F.one_hot(truths.clamp(max=classes - 1), classes).permute(0, 3, 1, 2) * counted
    found = logits.softmax(1) * counted
    both = (found * wanted).sum((0, 2, 3))
    sizes = found.sum((0, 2, 3)) + wanted.sum((0, 2, 3))
    present = wanted.sum((0, 2, 3)) > 0
    coefficients = (2 * both + 1) / (sizes + 1)
    return 1 - coefficients[present].mean() if bool(present.any()) else logits.sum() * 0


def _class_weights(truths: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(truths[truths != IGNORE].flatten(), minlength=classes).float() + 1
    weights = (counts.sum() / counts).sqrt()
    return weights / weights.mean()


def _hw(array: UInt8Array) -> tuple[int, int]:
    return array.shape[0], array.shape[1]


def result_of(predicted: UInt8Array, truth: UInt8Array, preprocess: Preprocess, labels: tuple[str, ...]) -> SemanticMap:
    """A model input's map as production returns it: the image's own size."""
    image_hw = _hw(truth)
    content = preprocess.resized_hw(image_hw)
    transform = ImageTransform(
        image_hw, preprocess.input_hw, content, (content[1] / image_hw[1], content[0] / image_hw[0])
    )
    return SemanticMap(to_image(predicted, transform), labels, image_hw)
