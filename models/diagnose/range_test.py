"""Step 3 of a diagnosis: the learning-rate range test.

The rate grows exponentially from batch to batch; where the loss falls fastest is a good peak rate, where it diverges is
the upper limit. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017,
https://arxiv.org/abs/1506.01186.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from foveal.models.diagnose.figures import rate_figure
from foveal.models.diagnose.findings import Finding, Illustration, Verdict
from foveal.models.diagnose.parts import TrainingParts, total_loss
from foveal.models.training.optimizers import configure
from foveal.progress import track

BATCHES = 60
LOWEST, HIGHEST = 1e-5, 10.0  # of the head; the backbone keeps its ratio to it
WINDOW = 2  # batches either side that a point is averaged with: half a decade in all
DIVERGED = 3.0  # times the first loss: further batches tell nothing


@dataclass(frozen=True)
class RangeTest:
    """The curve and its reading. Rates are the head's; `too_high` is None when the loss did not rise again."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]  # smoothed
    suggested: float
    too_high: float | None


def range_test(parts: TrainingParts, *, batches: int = BATCHES) -> RangeTest:
    """Train a fresh network while the rate grows."""
    recipe = parts.recipe.model_copy(
        update={"schedule": "constant", "warmup_epochs": 0.0, "frozen_epochs": 0, "lr_scaling": "none"}
    )
    network = parts.network().train()
    optimizer, _ = configure(network, parts.task.backbone(network), recipe, steps_per_epoch=1)
    shares = [group["lr"] / recipe.lr_head for group in optimizer.param_groups]
    rates: list[float] = []
    losses: list[float] = []
    numbered = zip(range(batches), parts.batches(), strict=False)
    for i, batch in track(numbered, total=batches, what="batches"):
        rate = LOWEST * (HIGHEST / LOWEST) ** (i / (batches - 1))
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = rate * share
        torch.manual_seed(recipe.seed + i)
        loss = total_loss(parts.task.loss(network, batch, recipe))
        value = loss.item()
        if not math.isfinite(value) or (losses and value > DIVERGED * losses[0]):
            rates, losses = [*rates, rate], [*losses, DIVERGED * losses[0] if losses else math.inf]
            break
        rates.append(rate)
        losses.append(value)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return read_curve(rates, losses)


def read_curve(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Smooth the losses; the steepest descent before the minimum, and the rate from which on it diverges."""
    smooth = np.array(smoothed(losses))
    lowest = int(np.argmin(smooth))
    slopes = np.gradient(smooth, np.log(rates)) if len(smooth) > 1 else np.zeros(1)
    steepest = int(np.argmin(slopes[: lowest + 1]))
    halfway = (smooth[0] + smooth[lowest]) / 2  # half of the decrease is undone
    back_up = np.flatnonzero(smooth[lowest:] > halfway)
    too_high = float(rates[lowest + int(back_up[0])]) if len(back_up) else None
    return RangeTest(tuple(rates), tuple(smooth.tolist()), float(rates[steepest]), too_high)


def smoothed(losses: Sequence[float]) -> list[float]:
    """The mean over a window around each point, cut off at the ends: no lag, unlike a running average."""
    return [float(np.mean(losses[max(0, i - WINDOW) : i + WINDOW + 1])) for i in range(len(losses))]


def judge_rate(test: RangeTest, rate: float) -> tuple[Finding, Illustration]:
    """The recipe's peak rate of the head (large-batch rule included) against the curve."""
    values = {"suggested": test.suggested, "too_high_from": test.too_high, "recipe": rate}
    words = f"lr_head {rate:.2g}; the loss falls fastest at {test.suggested:.2g}"
    if test.too_high is not None:
        words += f" and diverges from {test.too_high:.2g} on"
    verdict: Verdict = "ok"
    name = "learning rate"
    if test.too_high is not None and rate >= test.too_high:
        verdict, name = "fault", "learning rate too high"
        words += ": the recipe's rate is too high"
    elif rate < test.suggested / 100:
        verdict, name = "note", "learning rate low"
        words += ": the recipe's rate is low, training will take long"
    finding = Finding(step=3, name=name, verdict=verdict, words=words, values=values)
    figure = rate_figure(test.rates, test.losses, suggested=test.suggested, too_high=test.too_high, recipe_rate=rate)
    return finding, Illustration(3, "Loss (smoothed) while the rate grows", figure)
