"""Steps 1 and 2 of a diagnosis: the initial loss against theory (`initial_loss`), and overfitting (`overfit_few`)."""

import copy
import math
from typing import Any

import torch
from torch import optim

from foveal.models.diagnose.figures import line_figure
from foveal.models.diagnose.findings import Finding, Illustration
from foveal.models.diagnose.parts import TrainingParts, evenly_spaced, total_loss, without_randomness
from foveal.progress import track

FIRST_SAMPLES = 64
TOLERANCE = 0.25  # of the theoretical value
FEW = 12
OVERFIT_STEPS = 120
OVERFIT_RATE = 1e-3  # Adam's, whatever the recipe's: this step is about network and data alone


def initial_loss(parts: TrainingParts, network: Any = None) -> Finding:
    """Step 1: the loss before training, against that of equally likely classes."""
    network = without_randomness(copy.deepcopy(parts.network() if network is None else network))
    recipe, samples = parts.recipe.unregularised(), evenly_spaced(parts.data.splits.train, FIRST_SAMPLES)
    items, size = parts.fixed(samples), parts.recipe.batch_size
    batches = [items[i : i + size] for i in range(0, len(items), size)]
    sums: dict[str, float] = {}
    with torch.no_grad():
        for batch in batches:
            for name, value in parts.task.loss(network, parts.task.collate(batch), recipe).items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch) / len(items)
    expected = parts.task.initial_loss(recipe, len(parts.data.labels))
    values = {"measured": sums, "expected": expected}
    if not expected:
        words = f"no theoretical value is known for {parts.recipe.architecture}; measured {_formatted(sums)}"
        return Finding(step=1, name="initial loss", verdict="note", words=words, values=values)
    off = {k: v for k, v in expected.items() if not abs(sums[k] - v) <= TOLERANCE * v}  # NaN is off too
    words = f"measured {_formatted({k: sums[k] for k in expected})}, theory says {_formatted(expected)}"
    if not off:
        return Finding(step=1, name="initial loss", verdict="ok", words=words, values=values)
    words += ": the initial head is confident, or images are not normalised; look at its initialisation"
    return Finding(step=1, name="initial loss", verdict="fault", words=words, values=values)


def overfit_few(parts: TrainingParts, *, steps: int = OVERFIT_STEPS) -> tuple[Finding, Illustration]:
    """Step 2: a dozen samples without augmentation, until their loss is nearly 0."""
    torch.manual_seed(parts.recipe.seed)
    network, recipe = without_randomness(parts.network()), parts.recipe.unregularised()
    samples = evenly_spaced(parts.data.splits.train, FEW)
    batch = parts.task.collate(parts.fixed(samples))
    optimizer = optim.Adam([p for p in network.parameters() if p.requires_grad], lr=OVERFIT_RATE)
    share = parts.task.memorised_loss
    losses: list[float] = []
    for _ in track(range(steps), total=steps, what="steps"):
        loss = total_loss(parts.task.loss(network, batch, recipe))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or losses[-1] < share / 5 * losses[0]:
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    overfitted = min(losses) <= share * losses[0]
    words = f"{len(samples)} samples: loss {losses[0]:.3g} to {min(losses):.3g} in {len(losses)} steps of Adam"
    if not overfitted:
        words += (
            ": it cannot overfit them; look for equal images with different labels, units that are dead or "
            "saturated from the start, a network too small"
        )
    values = {"first": losses[0], "lowest": min(losses), "steps": len(losses), "samples": len(samples)}
    finding = Finding(step=2, name="overfit few", verdict="ok" if overfitted else "fault", words=words, values=values)
    return finding, Illustration(2, f"Loss on {len(samples)} samples", line_figure(losses, "step", "loss", log_y=True))


def _formatted(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
