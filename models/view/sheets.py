"""Contact sheets and figures of a data set (`view`): images with their truth, the same as training samples them.

samples.png     model inputs as evaluation sees them, with label, boxes, masks or class map
augmented.png   the same samples as an epoch of training might see them
histograms.png  classes by split, sizes of images and of objects, the principal colours
view.json       the figures
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from foveal.models.data.colour import MAX_COLOURED, colours_of
from foveal.models.data.dataset import SPLITS, DataSet
from foveal.models.data.loading import SampleKey, derived_seed
from foveal.models.data.model_inputs import make_model_input
from foveal.models.data.panels import Panel
from foveal.models.readers import load_data
from foveal.models.recipe import Recipe
from foveal.models.tasks import trainer_of
from foveal.models.training.plots import drawable
from foveal.models.training.task import TaskTrainer
from foveal.models.view.figures import Counted
from foveal.packages.package import staged_folder

COLUMNS = 6


def view(recipe: Recipe, root: Path, out: Path, *, count: int) -> dict[str, Any]:
    """Write the images and figures of a data set into a new folder.

    Args:
        recipe: of the task's own type; its splits, model input and augmentation are those that training would use.
        root: the data set.
        out: the folder to make.
        count: images on each sheet, a random choice of the train split by the recipe's seed.

    Returns:
        The content of view.json.

    Raises:
        BadData: it cannot be read. BadOutput: the folder exists.
    """
    trainer, data = trainer_of(recipe.task), load_data(recipe, root)
    train = data.splits.train
    chosen = sorted(np.random.default_rng(recipe.seed).permutation(len(train))[:count].tolist())
    samples = [train[i] for i in chosen]
    names = [sample.name for sample in samples]
    keys = [SampleKey(i, derived_seed(recipe.seed, 0, i), 0) for i in range(len(samples))]
    with staged_folder(out) as folder:
        for name, dataset, indices in (
            ("samples", trainer.unaugmented_set(samples, recipe), range(len(samples))),
            ("augmented", trainer.train_set(samples, recipe), keys),
        ):
            panels = [trainer.panel(dataset[index], data.labels) for index in indices]
            draw_sheet(folder / f"{name}.png", panels, names)
        counted = _counted(trainer, recipe, data)
        figures = counted.described()
        counted.draw_histograms(folder / "histograms.png")
        (folder / "view.json").write_text(json.dumps(figures, indent=2))
    return figures


def _counted(trainer: TaskTrainer, recipe: Recipe, data: DataSet[Any]) -> Counted:
    """Classes of all splits; colours of at most MAX_COLOURED training images."""
    train, preprocess = data.splits.train, trainer.preprocess(recipe)
    step = -(-len(train) // MAX_COLOURED)
    colours = colours_of(make_model_input(sample, preprocess) for sample in train[::step])
    classes = {split: Counter(dict.fromkeys(data.labels, 0)) for split in SPLITS}
    for split, total in classes.items():
        for sample in data.splits[split]:
            total.update(trainer.count(sample.truth, data.labels))
    return Counted(data, classes, colours, trainer)


def draw_sheet(path: Path, panels: Sequence[Panel], names: Sequence[str]) -> None:
    """Images side by side, each under its name and caption."""
    titles = [f"{Path(name).name[-28:]}\n{caption[:40]}" for (_, caption), name in zip(panels, names, strict=True)]
    with drawable(titles) as drawn:
        _sheet(panels, [drawn[title] for title in titles]).savefig(path, dpi=100)


def _sheet(panels: Sequence[Panel], titles: Sequence[str]) -> Figure:
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS, 2.8 * rows), layout="constrained")
    axes_of = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in axes_of:
        axes.set_axis_off()
    for axes, (rgb, _), title in zip(axes_of, panels, titles, strict=False):
        axes.imshow(rgb)
        axes.set_title(title, fontsize="x-small")
    return figure
