"""Two processes (gloo) train as one does at the same global batch."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foveal.errors import BadRecipe
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.distributed import World
from foveal.models.data.loading import SampleKeySampler, train_loader
from foveal.models.runs import train
from tests.helpers.images import draw_folders

RECIPE = """
backbone = "lenet5_modern"
weights = "none"
input_hw = [32, 32]
resize_mode = "stretch"
epochs = 3
frozen_epochs = 1
freeze_batchnorm = true
batch_size = 6
lr_head = 3e-3
lr_backbone = 1e-3
dropout = 0
ema_decay = 0.9
clip_norm = 1
l1 = 1e-5
val_fraction = 0.2
test_fraction = 0.1
"""


def rows(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_two_processes_follow_one(tmp_path: Path) -> None:
    data = draw_folders(tmp_path / "discs", per_class=10)
    (tmp_path / "r.toml").write_text(RECIPE)
    train(ClassificationRecipe.load(tmp_path / "r.toml"), data, tmp_path / "one")
    code = "from foveal.cli import main; main()"
    words = ["--task", "classification", "--data", data, "--recipe", tmp_path / "r.toml", "--out", tmp_path / "two"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    call = [*torchrun, sys.executable, "-c", code, "train", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, call)], capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/3") == 1  # one speaks
    for alone, together in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert together == pytest.approx(alone, rel=1e-4)
    one, two = (torch.load(tmp_path / run / "last.pt", weights_only=True) for run in ("one", "two"))
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-5)


def test_the_processes_draw_the_batches_of_one() -> None:
    def batches(world: World) -> list[set[int]]:
        sampler = SampleKeySampler(21, seed=3, world=world)
        drawn, size = [draw.index for draw in sampler], 6 // world.size
        return [set(drawn[i : i + size]) for i in range(0, len(drawn) - size + 1, size)]

    shares = [batches(World(rank, 3)) for rank in range(3)]
    assert [set.union(*parts) for parts in zip(*shares, strict=True)] == batches(World())


@pytest.mark.parametrize("count", [7, 8])
def test_shares_come_together_in_order(count: int) -> None:
    items = list(range(count))
    whole = [-1] * count
    for rank in range(3):
        whole[rank::3] = World(rank, 3).share(items)
    assert whole == items


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(BadRecipe, match="a multiple of the 2 processes, got 5"):
        train_loader([], 10, 5, None, seed=0, workers=0, world=World(0, 2))
