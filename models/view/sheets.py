"""A data set to look at: images with their truth, the same as training sample_keys them, and what there is of what.

samples.png     model inputs as evaluation sees them, with label, boxes, masks or class map
augmented.png   the same samples as an epoch of training might see them
histograms.png  classes by split, sizes of images and of objects, the principal colours
view.json       the figures
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch.utils.data import Dataset

from foveal.imaging.drawing import colour_of
from foveal.imaging.preprocess import Preprocess
from foveal.metrics.semantic import IGNORE
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.colour import MAX_COLOURED, colours_of
from foveal.models.data.dataset import SPLITS, DataSet, Sample
from foveal.models.data.loading import SampleKey, derived_seed
from foveal.models.data.model_inputs import make_model_input
from foveal.models.detection.items import Item, load_scene, training_item
from foveal.models.recipe import Recipe
from foveal.models.tasks import TaskTrainer, load_data, trainer_of
from foveal.models.view.figures import Counted
from foveal.packages.package import staged_folder

UInt8Array = npt.NDArray[np.uint8]
COLUMNS = 6
OPACITY = 0.5
Panel = tuple[UInt8Array, str]  # (H, W, 3) RGB and a caption


def labelled(item: Any, labels: Sequence[str]) -> Panel:
    """(model input, class id): the label as caption."""
    model_input, truth = item
    return np.asarray(model_input), labels[int(truth)]


def mapped(item: Any, labels: Sequence[str]) -> Panel:
    """(model input, class map): every class in its colour; what is ignored stays as it is."""
    model_input, truth = (np.asarray(part) for part in item)
    rgb = model_input.copy()
    present = [int(i) for i in np.unique(truth) if i != IGNORE]
    for class_id in present:
        _tint(rgb, truth == class_id, class_id)
    return rgb, ", ".join(labels[i] for i in present)


def boxed(item: Item, labels: Sequence[str]) -> Panel:
    """Boxes, and masks where there are any, in the colour of their class."""
    rgb, target = np.asarray(item["image"]).copy(), item["target"]
    class_ids = np.asarray(target["labels"]) - 1  # torchvision counts from 1
    for mask, class_id in zip(target.get("masks", ()), class_ids, strict=False):
        _tint(rgb, np.asarray(mask).astype(bool), int(class_id))
    for box, class_id in zip(np.asarray(target["boxes"]).round().astype(int).tolist(), class_ids, strict=True):
        cv2.rectangle(rgb, box[:2], box[2:], colour_of(int(class_id)), max(1, rgb.shape[0] // 200))
    counts = Counter(labels[int(i)] for i in class_ids)
    return rgb, ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"


def _tint(rgb: UInt8Array, where: npt.NDArray[np.bool_], class_id: int) -> None:
    rgb[where] = (rgb[where] * (1 - OPACITY) + np.array(colour_of(class_id)) * OPACITY).astype(np.uint8)


class PlainObjects(Dataset[Item]):
    """Items of training without augmentation; those of evaluation carry no truth."""

    def __init__(self, samples: Sequence[Sample[ObjectTruth]], preprocess: Preprocess, *, masks: bool) -> None:
        self._samples, self._preprocess, self._masks = samples, preprocess, masks

    def __getitem__(self, index: int) -> Item:
        return training_item(load_scene(self._samples[index], self._preprocess, masks=self._masks), self._preprocess)


def _one(truth: int, labels: Sequence[str]) -> Counter[str]:
    return Counter({labels[truth]: 1})


def _objects(truth: ObjectTruth, labels: Sequence[str]) -> Counter[str]:
    return Counter(labels[int(i)] for i in truth.class_ids)


def _pixels(truth: Any, labels: Sequence[str]) -> Counter[str]:
    counts = np.bincount(truth.read().ravel(), minlength=IGNORE + 1)
    return Counter({label: int(n) for label, n in zip(labels, counts, strict=False)})


@dataclass(frozen=True)
class Look:
    """How a task's data set is looked at."""

    panel: Callable[[Any, Sequence[str]], Panel]  # an item of a training or plain data set -> image and caption
    plain: Callable[[TaskTrainer, Sequence[Sample[Any]], Recipe], Any]  # without augmentation, by index
    count: Callable[[Any, Sequence[str]], Counter[str]]  # a truth -> how much of each label it holds
    unit: str  # of that count


def _plain(trainer: TaskTrainer, samples: Sequence[Sample[Any]], recipe: Recipe) -> Any:
    return trainer.eval_set(samples, recipe)


def _plain_objects(trainer: TaskTrainer, samples: Sequence[Sample[Any]], recipe: Recipe) -> Any:
    return PlainObjects(samples, trainer.preprocess(recipe), masks=recipe.task == "instance-segmentation")


LOOKS: dict[str, Look] = {
    "classification": Look(labelled, _plain, _one, "images"),
    "semantic-segmentation": Look(mapped, _plain, _pixels, "pixels"),
    "object-detection": Look(boxed, _plain_objects, _objects, "objects"),
    "instance-segmentation": Look(boxed, _plain_objects, _objects, "objects"),
}


def view(recipe: Recipe, root: Path, out: Path, *, count: int) -> dict[str, Any]:
    """Write the images and figures of a data set into a new folder.

    Args:
        recipe: of the task's own type; its splits, model input and augmentation are those that training would use.
        root: the data set.
        out: the folder to make.
        count: images on each sheet, drawn with the recipe's seed from the train split.

    Returns:
        The content of view.json.

    Raises:
        BadData: it cannot be read. BadOutput: the folder exists.
    """
    trainer, look = trainer_of(recipe.task), LOOKS[recipe.task]
    data = load_data(recipe, root)
    train = data.splits.train
    chosen = sorted(np.random.default_rng(recipe.seed).permutation(len(train))[:count].tolist())
    samples = [train[i] for i in chosen]
    names = [sample.name for sample in samples]
    plain, augmented = look.plain(trainer, samples, recipe), trainer.train_set(samples, recipe)
    sample_keys = [SampleKey(i, derived_seed(recipe.seed, 0, i), 0) for i in range(len(samples))]
    with staged_folder(out) as folder:
        for name, items in (("samples", plain), ("augmented", augmented)):
            keys: Sequence[Any] = range(len(samples)) if items is plain else sample_keys
            sheet([look.panel(items[key], data.labels) for key in keys], names).savefig(folder / f"{name}.png", dpi=100)
        preprocess = trainer.preprocess(recipe)
        step = -(-len(train) // MAX_COLOURED)
        colours = colours_of(make_model_input(sample, preprocess) for sample in train[::step])
        counts = {split: _total(data, split, look) for split in SPLITS}
        counted = Counted(data, counts, look.unit, colours)
        figures = counted.described()
        counted.histograms().savefig(folder / "histograms.png", dpi=100)
        (folder / "view.json").write_text(json.dumps(figures, indent=2))
    return figures


def _total(data: DataSet[Any], split: str, look: Look) -> Counter[str]:
    total = Counter(dict.fromkeys(data.labels, 0))
    for sample in data.splits[split]:
        total.update(look.count(sample.truth, data.labels))
    return total


def sheet(panels: Sequence[Panel], names: Sequence[str]) -> Figure:
    """Images side by side, each under its name and caption."""
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS, 2.8 * rows), layout="constrained")
    axes_of = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in axes_of:
        axes.set_axis_off()
    for axes, (rgb, caption), name in zip(axes_of, panels, names, strict=False):
        axes.imshow(rgb)
        axes.set_title(f"{Path(name).name[-28:]}\n{caption[:40]}", fontsize="x-small", parse_math=False)
    return figure
