import pytest
import torch
from torch import nn

from foveal.models.classification import ClassificationRecipe
from foveal.models.optim import OPTIMIZERS, SCHEDULES, configure


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


def test_cosine_is_torchs_cosine() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    oracle = torch.optim.SGD([parameter], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(oracle, T_max=20)
    wanted = []
    for _ in range(20):
        wanted.append(oracle.param_groups[0]["lr"])
        oracle.step()
        schedule.step()
    assert rates(5, epochs=4, lr_head=1e-3)["head"] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("constant", [1, 1, 1, 1, 1]), ("linear", [1, 0.8, 0.6, 0.4, 0.2]), ("step", [1, 1, 1, 0.1, 0.1])],
)
def test_schedules_in_closed_form(name: str, wanted: list[float]) -> None:
    assert rates(1, epochs=5, schedule=name, lr_head=1.0)["head"] == pytest.approx(wanted)
    assert SCHEDULES[name](0.0) == 1.0


def test_every_choice_of_the_recipe_exists() -> None:
    fields = ClassificationRecipe.model_fields
    assert set(fields["schedule"].annotation.__args__) == set(SCHEDULES)
    assert set(fields["optimizer"].annotation.__args__) == set(OPTIMIZERS)


def test_head_is_fast_backbone_slow_and_ramps_again_when_it_thaws() -> None:
    found = rates(4, epochs=5, schedule="constant", frozen_epochs=2, warmup_epochs=0.75, lr_head=1e-2, lr_backbone=1e-3)
    assert found["head"][:5] == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01])
    assert found["backbone"][:8] == [0] * 8
    assert found["backbone"][8:13] == pytest.approx([0.00025, 0.0005, 0.00075, 0.001, 0.001])


def test_norms_and_biases_do_not_decay() -> None:
    network = Network()
    optimizer, _ = configure(network, network.backbone, ClassificationRecipe(weight_decay=0.1), 1)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(network.head.weight), id(network.backbone[0].weight)}
    everything = [id(p) for g in optimizer.param_groups for p in g["params"]]
    assert sorted(everything) == sorted(id(p) for p in network.parameters())
