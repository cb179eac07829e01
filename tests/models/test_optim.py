"""Optimisers and schedules against closed forms and against torch."""

import math

import pytest
import torch
from torch import nn

from foveal.errors import BadRecipe
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.training.optimizers import OPTIMIZERS, SCHEDULES, configure


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


def rates(steps_per_epoch: int, **fields: object) -> dict[str, list[float]]:
    """Learning rate of head and backbone at every step of a run."""
    network = Network()
    recipe = ClassificationRecipe(**{"warmup_epochs": 0, "frozen_epochs": 0, **fields})
    optimizer, schedule = configure(network, network.backbone, recipe, steps_per_epoch)
    found: dict[str, list[float]] = {"head": [], "backbone": []}
    for _ in range(recipe.epochs * steps_per_epoch):
        for name in found:
            found[name].append(next(g["lr"] for g in optimizer.param_groups if g["name"].startswith(name)))
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20)),
        ("one-cycle", lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1e-3, total_steps=20, cycle_momentum=False)),
        ("exponential", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.01 ** (1 / 20))),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1, 1e-12, total_iters=20)),
        ("step", lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [12, 17])),
    ],
)
def test_schedules_are_torchs(name: str, oracle) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = oracle(optimizer)
    wanted = []
    for _ in range(20):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates(5, epochs=4, lr_head=1e-3, schedule=name)["head"] == pytest.approx(wanted, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.8, 0.6, 0.4, 0.2]),
        ("step", [1, 1, 1, 0.1, 0.1]),
        ("exponential", [0.01 ** (i / 5) for i in range(5)]),
        ("inverse-sqrt", [1 / math.sqrt(i + 1) for i in range(5)]),
    ],
)
def test_schedules_in_closed_form(name: str, wanted: list[float]) -> None:
    assert rates(1, epochs=5, schedule=name, lr_head=1.0)["head"] == pytest.approx(wanted)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_begins_with_the_ramp(name: str) -> None:
    plain, ramped = (rates(8, epochs=4, schedule=name, warmup_epochs=w)["head"] for w in (0, 0.5))
    if name == "inverse-sqrt":  # Vaswani et al. 2017, equation 3, with its peak, at step 4, as 1; our ramp is (i+1)/5
        plain = [1e-3 * math.sqrt(4 / max(4, i + 1)) for i in range(32)]
    assert ramped[:4] == pytest.approx([(i + 1) / 5 * rate for i, rate in enumerate(plain[:4])])
    assert ramped[4:] == pytest.approx(plain[4:])


def test_every_choice_of_the_recipe_exists() -> None:
    fields = ClassificationRecipe.model_fields
    assert set(fields["schedule"].annotation.__args__) == set(SCHEDULES)
    assert set(fields["optimizer"].annotation.__args__) == set(OPTIMIZERS)


def adam(g: float, m: float, v: float, step: int) -> tuple[float, float, float]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return m / (1 - 0.9**step) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v


def by_hand(name: str, w: float, gradient, *, lr: float, decay: float, steps: int) -> list[float]:
    """The published update of one weight, written out."""
    path, m, v, u = [], 0.0, 0.0, 0.0
    for step in range(1, steps + 1):
        g = gradient(w) + (0 if name == "adamw" else decay * w)
        if name == "plain":
            w -= lr * g
        elif name == "momentum":
            m = 0.9 * m + g
            w -= lr * m
        elif name == "nesterov":
            m = 0.9 * m + g
            w -= lr * (g + 0.9 * m)
        elif name == "adagrad":
            v += g * g
            w -= lr * g / (math.sqrt(v) + 1e-10)
        elif name == "adadelta":
            v = 0.9 * v + 0.1 * g * g
            delta = math.sqrt(u + 1e-6) / math.sqrt(v + 1e-6) * g
            u = 0.9 * u + 0.1 * delta * delta
            w -= lr * delta
        elif name == "rmsprop":
            v = 0.99 * v + 0.01 * g * g
            w -= lr * g / (math.sqrt(v) + 1e-8)
        else:
            delta, m, v = adam(g, m, v, step)
            w = w * (1 - lr * decay if name == "adamw" else 1) - lr * delta
        path.append(w)
    return path


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plain", {"optimizer": "sgd", "momentum": 0}),
        ("momentum", {"optimizer": "sgd", "nesterov": False}),
        ("nesterov", {"optimizer": "sgd"}),
        ("adagrad", {"optimizer": "adagrad"}),
        ("adadelta", {"optimizer": "adadelta"}),
        ("rmsprop", {"optimizer": "rmsprop", "momentum": 0}),
        ("adam", {"optimizer": "adam"}),
        ("adamw", {"optimizer": "adamw"}),
    ],
)
def test_optimisers_follow_their_published_formulas(name: str, fields: dict) -> None:
    """On f(w) = (w - 3)^2 / 2 with weight decay, from w = 1."""
    network = nn.Module()
    network.backbone, network.head = nn.Identity(), nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(network.head.weight, 1.0)
    recipe = ClassificationRecipe(lr_head=0.05, weight_decay=0.1, schedule="constant", warmup_epochs=0, **fields)
    optimizer, _ = configure(network, network.backbone, recipe, 1)
    found = []
    for _ in range(6):
        optimizer.zero_grad()
        ((network.head.weight - 3) ** 2 / 2).sum().backward()
        optimizer.step()
        found.append(network.head.weight.item())
    assert found == pytest.approx(by_hand(name, 1.0, lambda w: w - 3, lr=0.05, decay=0.1, steps=6), rel=1e-9)


def test_head_is_fast_backbone_slow_and_ramps_again_when_it_thaws() -> None:
    found = rates(4, epochs=5, schedule="constant", frozen_epochs=2, warmup_epochs=0.75, lr_head=1e-2, lr_backbone=1e-3)
    assert found["head"][:5] == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01])
    assert found["backbone"][:8] == [0] * 8
    assert found["backbone"][8:13] == pytest.approx([0.00025, 0.0005, 0.00075, 0.001, 0.001])


@pytest.mark.parametrize(("rule", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)])
def test_the_large_batch_rule_multiplies_both_rates(rule: str, factor: float) -> None:
    """64 samples twice before a step are 128, four times the 32 that the rates are meant for."""
    large = {"batch_size": 64, "accumulate": 2, "lr_scaling": rule, "warmup_epochs": 1, "schedule": "constant"}
    found = rates(2, epochs=3, lr_head=1e-2, lr_backbone=1e-3, **large)
    assert found["head"][-1] == pytest.approx(1e-2 * factor)
    assert found["backbone"][-1] == pytest.approx(1e-3 * factor)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["lr_scaling=linear", "warmup_epochs=0"], "expected warmup_epochs above 0"),
        (["ema_decay=0.9", "swa_start=0.5"], "expected ema_decay = none"),
        (["init=he"], "expected weights = none"),
    ],
)
def test_fields_that_contradict_each_other(overrides: list[str], said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        ClassificationRecipe.load(None, overrides)


def test_norms_and_biases_do_not_decay() -> None:
    network = Network()
    optimizer, _ = configure(network, network.backbone, ClassificationRecipe(weight_decay=0.1), 1)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(network.head.weight), id(network.backbone[0].weight)}
    everything = [id(p) for g in optimizer.param_groups for p in g["params"]]
    assert sorted(everything) == sorted(id(p) for p in network.parameters())
