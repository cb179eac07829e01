"""Optimisers and schedules: head fast, backbone slow (step four of fine-tuning)."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn, optim

from foveal.models.recipe import Recipe

Groups = list[dict[str, Any]]

OPTIMIZERS: dict[str, Callable[[Groups, Recipe], optim.Optimizer]] = {
    "sgd": lambda groups, r: optim.SGD(groups, momentum=r.momentum, nesterov=r.momentum > 0),
    "adam": lambda groups, r: optim.Adam(groups, betas=(r.momentum, 0.999)),
    "adamw": lambda groups, r: optim.AdamW(groups, betas=(r.momentum, 0.999)),
    "rmsprop": lambda groups, r: optim.RMSprop(groups, momentum=r.momentum),
}

# progress through the run in [0, 1] -> share of the peak learning rate
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),  # Loshchilov, Hutter, SGDR, 2017
    "step": lambda progress: 1.0 if progress < 0.6 else 0.1 if progress < 0.85 else 0.01,
}


def configure(
    network: nn.Module, backbone: nn.Module, recipe: Recipe, steps_per_epoch: int
) -> tuple[optim.Optimizer, optim.lr_scheduler.LambdaLR]:
    """The optimiser with up to four groups (backbone or head, decayed or not) and its schedule, stepped every step.

    Args:
        network: the whole network.
        backbone: the part of it that came with weights; it learns at lr_backbone from epoch `frozen_epochs` on.
        recipe: rates, decay, schedule.
        steps_per_epoch: optimiser steps, not batches.
    """
    in_backbone = {id(parameter) for parameter in backbone.parameters()}
    head = [p for p in network.parameters() if id(p) not in in_backbone]
    thaw = recipe.frozen_epochs * steps_per_epoch
    groups: Groups = []
    factors = []
    for name, parameters, lr, start in (
        ("head", head, recipe.lr_head, 0),
        ("backbone", list(backbone.parameters()), recipe.lr_backbone, thaw),
    ):
        for decay, members in _by_decay(parameters, recipe.weight_decay):
            groups.append({"params": members, "lr": lr, "weight_decay": decay, "name": f"{name}, decay {decay:g}"})
            factors.append(_factor(recipe, steps_per_epoch, start))
    optimizer = OPTIMIZERS[recipe.optimizer](groups, recipe)
    return optimizer, optim.lr_scheduler.LambdaLR(optimizer, factors)


def _by_decay(parameters: Iterable[nn.Parameter], decay: float) -> list[tuple[float, list[nn.Parameter]]]:
    """Weights decay; biases and norms, which have one dimension, do not. Empty groups are left out."""
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return [(d, members) for d, members in ((decay, matrices), (0.0, vectors)) if members]


def _factor(recipe: Recipe, steps_per_epoch: int, start: int) -> Callable[[int], float]:
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)

    def factor(step: int) -> float:
        ramp = min(1.0, (step - start + 1) / (warmup + 1)) if step >= start else 0.0
        return ramp * SCHEDULES[recipe.schedule](min(1.0, step / max(1, total)))

    return factor
