"""Steps 1 and 2: does it start where theory says, and can it learn a handful of samples by heart?"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import optim

from foveal.models.diagnose.figures import line_figure
from foveal.models.diagnose.findings import Finding, Illustration
from foveal.models.diagnose.parts import TrainingParts, plain, spread, still, total

FIRST_SAMPLES = 64
TOLERANCE = 0.25  # of the theoretical value
FEW = 12
OVERFIT_STEPS = 120
OVERFIT_RATE = 1e-3  # Adam's, whatever the recipe says: this step asks about network and data alone
BY_HEART = {"classification": 0.1, "semantic-segmentation": 0.3}  # share of the first loss that may be left
BY_HEART_DETECTORS = 0.5  # they sample other proposals in each step, and boxes take long


def _classification(recipe: Any, classes: int) -> dict[str, float]:
    nats = math.log(classes)
    if recipe.loss == "focal":
        return {"focal": nats * (1 - 1 / classes) ** recipe.focal_gamma}
    return {"cross_entropy": nats}


def _two_stage(recipe: Any, classes: int) -> dict[str, float]:
    if recipe.architecture not in ("fasterrcnn", "maskrcnn"):
        return {}  # one-stage heads start near their prior; their loss depends on the number of objects
    return {"objectness": math.log(2), "classifier": math.log(classes + 1)}


# task -> parts of the loss of a network that knows nothing: all classes equally likely, nats
FIRST_LOSSES: dict[str, Callable[[Any, int], dict[str, float]]] = {
    "classification": _classification,
    "semantic-segmentation": lambda recipe, classes: (
        {} if recipe.loss == "dice" else {"cross_entropy": math.log(classes)}
    ),
    "object-detection": _two_stage,
    "instance-segmentation": _two_stage,
}


def initial_loss(parts: TrainingParts, network: Any = None) -> Finding:
    """Step 1: the loss before anything is learnt, against that of equally likely classes."""
    network = still(copy.deepcopy(parts.network() if network is None else network))
    recipe, samples = plain(parts.recipe), spread(parts.data.splits.train, FIRST_SAMPLES)
    items, size = parts.fixed(samples), parts.recipe.batch_size
    batches = [items[i : i + size] for i in range(0, len(items), size)]
    sums: dict[str, float] = {}
    with torch.no_grad():
        for batch in batches:
            for name, value in parts.task.loss(network, parts.task.collate(batch), recipe).items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch) / len(items)
    expected = FIRST_LOSSES[parts.recipe.task](recipe, len(parts.data.labels))
    values = {"measured": sums, "expected": expected}
    if not expected:
        words = f"no theoretical value is known for {parts.recipe.architecture}; measured {_formatted(sums)}"
        return Finding(step=1, name="initial loss", verdict="note", words=words, values=values)
    off = {k: v for k, v in expected.items() if not abs(sums[k] - v) <= TOLERANCE * v}  # NaN is off too
    words = f"measured {_formatted({k: sums[k] for k in expected})}, theory says {_formatted(expected)}"
    if not off:
        return Finding(step=1, name="initial loss", verdict="ok", words=words, values=values)
    words += ": the head starts sure of itself, or images are not normalised; look at its initialisation"
    return Finding(step=1, name="initial loss", verdict="fault", words=words, values=values)


def overfit_few(parts: TrainingParts, *, steps: int = OVERFIT_STEPS) -> tuple[Finding, Illustration]:
    """Step 2: a dozen samples, no augmentation, until the loss is nearly gone."""
    torch.manual_seed(parts.recipe.seed)
    network, recipe = still(parts.network()), plain(parts.recipe)
    samples = spread(parts.data.splits.train, FEW)
    batch = parts.task.collate(parts.fixed(samples))
    optimizer = optim.Adam([p for p in network.parameters() if p.requires_grad], lr=OVERFIT_RATE)
    share = BY_HEART.get(parts.recipe.task, BY_HEART_DETECTORS)
    losses: list[float] = []
    for _ in range(steps):
        loss = total(parts.task.loss(network, batch, recipe))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or losses[-1] < share / 5 * losses[0]:
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    learnt = min(losses) <= share * losses[0]
    words = f"{len(samples)} samples: loss {losses[0]:.3g} to {min(losses):.3g} in {len(losses)} steps of Adam"
    if not learnt:
        words += (
            ": it cannot learn them by heart; look for equal images with different labels, units that are dead or "
            "saturated from the start, a network too small"
        )
    values = {"first": losses[0], "lowest": min(losses), "steps": len(losses), "samples": len(samples)}
    finding = Finding(step=2, name="overfit few", verdict="ok" if learnt else "fault", words=words, values=values)
    return finding, Illustration(2, f"Loss on {len(samples)} samples", line_figure(losses, "step", "loss", log_y=True))


def _formatted(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
