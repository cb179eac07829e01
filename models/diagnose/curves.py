"""Step 6 of a diagnosis: a short training, judged for bias, variance, its rate and its labels.

Bias is the training error beyond the optimal one, variance what the dev error adds to it (Ng, "Machine Learning
Yearning", 2018). Both errors are taken in evaluation mode, without augmentation, of the same weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from foveal.models.backbones.weights import read_state_dict
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import eval_loader
from foveal.models.diagnose.figures import SHEET_COLUMNS, contact_sheet, curves_figure
from foveal.models.diagnose.findings import Finding, Illustration
from foveal.models.diagnose.parts import TrainingParts, evenly_spaced
from foveal.models.training.loop import fit
from foveal.models.training.module import Log, LossDiverged
from foveal.models.training.run_folder import Row, RunFolder

MAX_SCORED = 400  # training samples whose error is measured
HIGH_ERROR = 0.1  # of bias and of variance
STILL_FALLING = 0.1  # share of the loss lost in the last quarter of the epochs
CONFIDENT = 0.8  # probability from which on an answer against a training label makes the label doubtful
DOUBTFUL = 0.03  # share of doubtful training labels that is a fault
SHEET_ROWS = 4
UNDER_TRAINED = "under-trained"


@dataclass(frozen=True, kw_only=True)
class Curves:
    """A finished short training: its epochs, and errors (1 - the task's metric) in [0, 1]."""

    rows: tuple[Row, ...]
    train_error: float
    dev_error: float
    train_count: int
    dev_count: int
    optimal_error: float = 0.0
    chance_error: float | None = None  # of always giving the commonest answer; None: not defined for the task
    doubtful: float | None = None  # share of training labels that the network confidently contradicts


def judge_training(
    parts: TrainingParts, folder: Path, *, optimal_error: float, log: Log = lambda _: None
) -> tuple[list[Finding], list[Illustration]]:
    """Train by the recipe, then judge what came out."""
    folder.mkdir(parents=True, exist_ok=True)
    network, recipe, run = parts.network(), parts.recipe, RunFolder(folder)
    try:
        fit(parts.task, network, parts.data, recipe, run, resume=False, log=log, progress=True)
    except LossDiverged as error:
        return [Finding(step=6, name="rate too high", verdict="fault", words=str(error))], []
    network.load_state_dict(read_state_dict(folder / "last.pt"))
    network.cpu().eval()
    train, dev = evenly_spaced(parts.data.splits.train, MAX_SCORED), parts.data.splits.val
    on_train, on_dev = _predictions(parts, network, train), _predictions(parts, network, dev)
    curves = Curves(
        rows=tuple(run.rows),
        train_error=_error(parts, on_train, train),
        dev_error=_error(parts, on_dev, dev),
        train_count=len(train),
        dev_count=len(dev),
        optimal_error=optimal_error,
        chance_error=parts.task.chance_error(dev),
        doubtful=parts.task.confident_mistakes(on_train, train, confidence=CONFIDENT),
    )
    images = [Illustration(6, "Losses and val metric", curves_figure(run.rows, f"val_{parts.task.best_metric}"))]
    return judge_curves(curves), [*images, _top_losses(parts, network, [*train, *dev])]


def judge_curves(curves: Curves) -> list[Finding]:
    """The training in words; one finding that is ok when nothing is wrong."""
    values = {
        "train_error": curves.train_error,
        "dev_error": curves.dev_error,
        "bias": curves.train_error - curves.optimal_error,
        "variance": curves.dev_error - curves.train_error,
        "chance_error": curves.chance_error,
        "doubtful_labels": curves.doubtful,
    }
    errors = f"train error {curves.train_error:.3f}, dev error {curves.dev_error:.3f}"
    fit = _fit(curves)
    noise = None if fit and fit[0] == UNDER_TRAINED else _noise(curves)  # a network that knows little contradicts much
    faults = [f for f in (_rate(curves), _labels(curves), fit, _variance(curves), noise) if f]
    if not faults:
        return [Finding(step=6, name="healthy", verdict="ok", words=f"{errors}: learns and generalises", values=values)]
    return [
        Finding(step=6, name=name, verdict="fault", words=f"{errors}: {words}", values=values) for name, words in faults
    ]


Fault = tuple[str, str] | None


def _rate(curves: Curves) -> Fault:
    losses = [row["loss"] for row in curves.rows]
    if len(losses) > 1 and losses[-1] > 1.2 * min(losses) and losses[-1] > 0.8 * losses[0]:
        return "rate too high", f"the loss went from {losses[0]:.3g} over {min(losses):.3g} to {losses[-1]:.3g}"
    return None


def _labels(curves: Curves) -> Fault:
    """Dev no better than chance: what was learnt does not generalise."""
    chance = curves.chance_error
    if chance is None or curves.dev_error < chance - 2 * _sigma(chance, curves.dev_count):
        return None
    words = f"on dev no better than always saying the commonest class ({chance:.3f}): do the labels fit the images?"
    return "labels do not fit", words


def _fit(curves: Curves) -> Fault:
    bias = curves.train_error - curves.optimal_error
    if bias <= HIGH_ERROR:
        return None
    losses = [row["loss"] for row in curves.rows]
    if len(losses) == 1:
        return (
            UNDER_TRAINED,
            f"bias {bias:.3f} after a single epoch, too few to judge by: more epochs",
        )
    if losses[-1] < (1 - STILL_FALLING) * losses[-1 - max(1, len(losses) // 4)]:
        return UNDER_TRAINED, f"bias {bias:.3f}, and the loss is still falling: more epochs or a higher rate"
    return "bias", f"bias {bias:.3f}: a larger network, a better start, less regularisation, a higher rate"


def _variance(curves: Curves) -> Fault:
    variance = curves.dev_error - curves.train_error
    if variance <= max(HIGH_ERROR, 2 * _sigma(curves.dev_error, curves.dev_count)):
        return None
    return "variance", f"variance {variance:.3f}: more data, more augmentation, more regularisation, a smaller network"


def _noise(curves: Curves) -> Fault:
    if curves.doubtful is None or curves.doubtful <= DOUBTFUL:
        return None
    share = f"{curves.doubtful:.1%} of training labels"
    return "label noise", f"the network confidently contradicts {share}; look at the contact sheet"


def _sigma(error: float, count: int) -> float:
    return math.sqrt(error * (1 - error) / count)


def _predictions(parts: TrainingParts, network: torch.nn.Module, samples: Sequence[Sample[Any]]) -> list[Any]:
    batches = eval_loader(parts.task.eval_set(samples, parts.recipe), parts.recipe.batch_size, parts.task.collate)
    with torch.inference_mode():
        return [prediction for batch in batches for prediction in parts.task.predict(network, batch)]


def _error(parts: TrainingParts, predictions: Sequence[Any], samples: Sequence[Sample[Any]]) -> float:
    scores = parts.task.score(predictions, samples, parts.data.labels, parts.recipe)
    return 1.0 - scores[parts.task.best_metric]


def _top_losses(parts: TrainingParts, network: torch.nn.Module, samples: Sequence[Sample[Any]]) -> Illustration:
    """The samples with the greatest losses, their truth drawn on them: wrong labels gather here."""
    losses = parts.sample_losses(network, samples)
    worst = sorted(range(len(samples)), key=lambda i: -losses[i])[: SHEET_COLUMNS * SHEET_ROWS]
    items = parts.task.unaugmented_set([samples[i] for i in worst], parts.recipe)
    panels = []
    for item, i in zip((items[k] for k in range(len(worst))), worst, strict=True):
        rgb, truth = parts.task.panel(item, parts.data.labels)
        panels.append((rgb, f"{samples[i].name[-28:]}\n{losses[i]:.2f}: {truth[:28]}"))
    figure = contact_sheet(panels)
    return Illustration(6, "Greatest losses, of train and dev: wrong labels gather here", figure)
