"""Trial of tuned anchors against a recipe's own: how both fit a data set, and which of the two trains better.

Tuned anchors keep the recipe's shape (a size a level, the same ratios everywhere). Sizes come from clustering the
objects as squares of their area, ratios from clustering them at equal area, both by k-means on 1 - IoU
(anchor_fit.tuned). A better fit is a hint; `compare` trains both for a few epochs and lets the val split decide.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from foveal.errors import BadData
from foveal.models.data.dataset import DataSet
from foveal.models.detection.anchor_fit import Array, Fit, fit, input_sides, tuned
from foveal.models.detection.anchors import cell_anchors
from foveal.models.detection.networks.architectures import anchor_layout
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.runs import run_epochs
from foveal.models.tasks import trainer_of
from foveal.models.training.run_folder import rank

Log = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """Anchors of one recipe, and how they fit the training objects."""

    recipe: DetectionRecipe
    fit: Fit

    def fields(self) -> dict[str, list[float]]:
        """The recipe fields that give these anchors."""
        sizes, _, ratios = anchor_layout(self.recipe)
        return {"anchor_sizes_px": list(sizes), "anchor_ratios": list(ratios)}

    def as_set(self) -> str:
        """The same as options of `foveal train`."""
        return " ".join(f"--set '{name}={values}'" for name, values in self.fields().items())

    def report(self) -> dict[str, Any]:
        """For a program."""
        return {**self.fields(), **asdict(self.fit)}


def shapes_of(recipe: DetectionRecipe) -> Array:
    """(K, 2) width and height in model-input pixels of every anchor shape that the recipe's network has."""
    sizes, scales, ratios = anchor_layout(recipe)
    cell = cell_anchors([size * scale for size in sizes for scale in scales], ratios)
    shapes: Array = cell[:, 2:] - cell[:, :2]
    return shapes


def candidates(recipe: DetectionRecipe, data: DataSet[Any]) -> tuple[Candidate, Candidate]:
    """The recipe as it is, and with tuned anchors; both judged on the objects of the training split.

    Raises:
        BadData: fewer objects than anchor sizes. BadRecipe: a network whose anchors are fixed.
    """
    sides = input_sides(data.splits.train, trainer_of(recipe.task).preprocess(recipe))
    other = with_tuned_anchors(recipe, sides)
    return Candidate(recipe, fit(sides, shapes_of(recipe))), Candidate(other, fit(sides, shapes_of(other)))


def with_tuned_anchors(recipe: DetectionRecipe, sides: Array) -> DetectionRecipe:
    """The recipe with as many sizes and ratios as before, clustered from objects: (M, 2) model-input px sides.

    A level's scales spread around its size, so that the middle of them falls on the cluster.
    """
    sizes, scales, ratios = anchor_layout(recipe)
    if len(sides) < len(sizes):
        raise BadData(f"expected at least {len(sizes)} objects to tune {len(sizes)} anchor sizes on, got {len(sides)}")
    side, root = np.sqrt(sides.prod(1)), np.sqrt(sides[:, 1] / sides[:, 0])
    squares = tuned(np.stack((side, side), 1), len(sizes), seed=recipe.seed)[:, 0]
    equal_areas = tuned(np.stack((1 / root, root), 1), len(ratios), seed=recipe.seed)
    middle = float(np.exp(np.mean(np.log(scales))))
    found = {
        "anchor_sizes_px": tuple(round(float(size) / middle, 1) for size in sorted(squares)),
        "anchor_ratios": tuple(sorted(round(float(height / width), 2) for width, height in equal_areas)),
    }
    return type(recipe).of({**recipe.model_dump(), **found})


@dataclass(frozen=True)
class Verdict:
    """Results of short runs: the best val figure of each seed, with the recipe's anchors (`now`) and tuned ones."""

    metric: str
    now: tuple[float, ...]
    tuned: tuple[float, ...]

    @property
    def accepted(self) -> bool:
        """Tuned anchors are better on average."""
        return fmean(self.tuned) > fmean(self.now)


def compare(
    pair: tuple[Candidate, Candidate], data_root: Path, out: Path, *, epochs: int, seeds: int, log: Log
) -> Verdict:
    """Train both for a few epochs with the same seeds, each in its own folder; the test split is not read."""
    scores: tuple[list[float], list[float]] = ([], [])
    for seed in range(seeds):
        for name, one, into in zip(("now", "tuned"), pair, scores, strict=True):
            changes = {"epochs": epochs, "seed": one.recipe.seed + seed}
            recipe = type(one.recipe).of({**one.recipe.model_dump(), **changes})
            log(f"{name} anchors, seed {recipe.seed}:")
            into.append(short_run(recipe, data_root, out / f"{name}-{recipe.seed}", log))
    metric = trainer_of(pair[0].recipe.task).best_metric
    return Verdict(metric, *(tuple(values) for values in scores))


def short_run(recipe: DetectionRecipe, data_root: Path, out: Path, log: Log) -> float:
    """Train; the best epoch's figure on val."""
    folder = run_epochs(recipe, data_root, out, log=log)
    metric = f"val_{trainer_of(recipe.task).best_metric}"
    return max(folder.rows, key=lambda row: rank(row, metric))[metric]


def in_words(verdict: Verdict, names: Sequence[str] = ("now", "tuned")) -> str:
    """One line for a person."""
    figures = (verdict.now, verdict.tuned)
    means = ", ".join(
        f"{name} {fmean(values):.4f}" + (f" ({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else "")
        for name, values in zip(names, figures, strict=True)
    )
    decision = "tuned anchors are accepted" if verdict.accepted else "tuned anchors are refused"
    return f"best val {verdict.metric} of {len(verdict.now)} short runs each: {means}; {decision}"
