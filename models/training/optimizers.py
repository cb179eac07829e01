"""Optimisers and schedules: head fast, backbone slow (step four of fine-tuning).

Optimisers are torch's. SGD: Robbins, Monro 1951; momentum: Polyak 1964, Nesterov 1983; Adagrad: Duchi et al. 2011;
Adadelta: Zeiler 2012; RMSprop: Tieleman, Hinton 2012; Adam: Kingma, Ba 2015; AdamW: Loshchilov, Hutter 2019.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn, optim

from foveal.models.recipe import Recipe

Groups = list[dict[str, Any]]

OPTIMIZERS: dict[str, Callable[[Groups, Recipe], optim.Optimizer]] = {
    "sgd": lambda groups, r: optim.SGD(groups, momentum=r.momentum, nesterov=r.nesterov and r.momentum > 0),
    "adagrad": lambda groups, _: optim.Adagrad(groups),
    "adadelta": lambda groups, _: optim.Adadelta(groups),
    "adam": lambda groups, r: optim.Adam(groups, betas=(r.momentum, 0.999)),
    "adamw": lambda groups, r: optim.AdamW(groups, betas=(r.momentum, 0.999)),
    "rmsprop": lambda groups, r: optim.RMSprop(groups, momentum=r.momentum),
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where a run is: `step` (from 0) of `total` optimiser steps, the first `warmup` of them a ramp."""

    step: int
    total: int
    warmup: int
    lr_final: float = 0.01

    @property
    def progress(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        return min(1.0, self.step / max(1, self.total))


# -> share of the peak learning rate, before the ramp
SCHEDULES: dict[str, Callable[[Moment], float]] = {
    "constant": lambda _: 1.0,
    "step": lambda now: 1.0 if now.progress < 0.6 else 0.1 if now.progress < 0.85 else 0.01,
    "exponential": lambda now: now.lr_final**now.progress,
    "linear": lambda now: 1.0 - now.progress,
    "cosine": lambda now: 0.5 * (1.0 + math.cos(math.pi * now.progress)),  # Loshchilov, Hutter, SGDR, 2017
    "inverse-sqrt": lambda now: math.sqrt(max(1, now.warmup) / max(1, now.warmup, now.step + 1)),  # Vaswani et al. 2017
    "one-cycle": lambda now: _one_cycle(now),
}

RISE = 0.3  # share of the run
START, END = 1 / 25, 1 / 25e4  # of the peak rate


def _one_cycle(now: Moment) -> float:
    """Up for 30 % of the run, then down far below the start, both as cosines (Smith, Topin 2018; torch's numbers)."""
    top, last = max(1e-9, RISE * now.total - 1), now.total - 1
    if now.step <= top:
        return _between(START, 1.0, now.step / top)
    return _between(1.0, END, min(1.0, (now.step - top) / (last - top)))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))


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
    unfrozen = recipe.frozen_epochs * steps_per_epoch
    groups: Groups = []
    factors = []
    for name, parameters, lr, start in (
        ("head", head, recipe.lr_head * recipe.lr_scale, 0),
        ("backbone", list(backbone.parameters()), recipe.lr_backbone * recipe.lr_scale, unfrozen),
    ):
        for decay, members in _by_decay(parameters, recipe.weight_decay):
            groups.append({"params": members, "lr": lr, "weight_decay": decay, "name": f"{name}, decay {decay:g}"})
            factors.append(_factor(recipe, steps_per_epoch, start))
    optimizer = OPTIMIZERS[recipe.optimizer](groups, recipe)
    return optimizer, optim.lr_scheduler.LambdaLR(optimizer, factors)


def decays(parameter: nn.Parameter) -> bool:
    """Weights decay; biases and norms, which have one dimension, do not."""
    return parameter.ndim > 1


def _by_decay(parameters: Iterable[nn.Parameter], decay: float) -> list[tuple[float, list[nn.Parameter]]]:
    """Parameters by their decay; empty groups are left out."""
    parameters = list(parameters)
    matrices = [p for p in parameters if decays(p)]
    vectors = [p for p in parameters if not decays(p)]
    return [(d, members) for d, members in ((decay, matrices), (0.0, vectors)) if members]


def _factor(recipe: Recipe, steps_per_epoch: int, start: int) -> Callable[[int], float]:
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    schedule = SCHEDULES[recipe.schedule]

    def factor(step: int) -> float:
        ramp = min(1.0, (step - start + 1) / (warmup + 1)) if step >= start else 0.0
        return ramp * schedule(Moment(step=step, total=total, warmup=warmup, lr_final=recipe.lr_final))

    return factor
