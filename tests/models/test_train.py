"""The frame: what a run leaves behind, and that a killed run goes on as if nothing had happened."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from foveal.errors import BadCheckpoint, BadOutput, BadRecipe
from foveal.models.backbones import BACKBONES
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.readers import load_data, reader_of
from foveal.models.runs import load_run, train
from foveal.models.training.checkpoint import predict_all
from foveal.models.training.loop import steps_per_epoch
from foveal.models.training.module import ema
from foveal.models.training.run_folder import RunFolder
from tests.helpers.images import draw_folders

TINY = """
backbone = "mobilenet_v2"
weights = "none"
input_hw = [32, 32]
resize_mode = "stretch"
epochs = 3
frozen_epochs = 1
batch_size = 6
lr_head = 3e-3
lr_backbone = 1e-3
ema_decay = 0.9
clip_norm = 5
val_fraction = 0.2
test_fraction = 0.2
"""


class Killed(Exception):
    """Stands for a kill signal."""


def tiny(*overrides: str) -> ClassificationRecipe:
    return ClassificationRecipe.load(None, [*TINY.strip().splitlines(), *overrides])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folders(tmp_path_factory.mktemp("drawn") / "discs", per_class=10)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny(), data, out)
    return out


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def state(path: Path) -> dict[str, torch.Tensor]:
    found = torch.load(path, weights_only=True)
    assert isinstance(found, dict)
    return found


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = state(one), state(other)
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_val_can_be_learnt(data: Path, tmp_path: Path) -> None:
    """Nothing is held out but test, whose images are those of a run with val; the last epoch counts."""
    result = train(tiny("train_on_val=true"), data, tmp_path / "run")
    splits = json.loads((tmp_path / "run" / "data.json").read_text())["splits"]
    before = load_data(tiny(), data).splits
    assert splits["test"] == [sample.name for sample in before.test]
    assert sorted(splits["train"]) == sorted(sample.name for sample in (*before.train, *before.val))
    assert splits["val"] == []
    assert result["best_epoch"] == 3
    assert result.keys() == {"best_epoch", "test", "seconds"}
    assert_same_weights(tmp_path / "run" / "best.pt", tmp_path / "run" / "last.pt")
    assert not any(name.startswith("val_") for name in rows(tmp_path / "run")[0])


def test_a_run_folder_holds_everything(run: Path, data: Path) -> None:
    written = "best.pt confusion.png curves.png data.json last.pt metrics.csv recipe.toml result.json resume run.json"
    assert sorted(p.name for p in run.iterdir()) == written.split()
    assert ClassificationRecipe.load(run / "recipe.toml") == tiny()
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]
    info, splits = json.loads((run / "run.json").read_text()), json.loads((run / "data.json").read_text())
    assert info["labels"] == ["blue", "green", "red"]
    assert info["data"]["images"] == {"train": 18, "val": 6, "test": 6}
    assert info["data"]["fingerprint"] == splits["fingerprint"]
    assert {k: len(v) for k, v in splits["splits"].items()} == info["data"]["images"]
    assert info["licences"] == {"data": "not stated", "weights": "trained from random weights"}


def test_a_finished_run_goes_on_for_more_epochs(data: Path, tmp_path: Path) -> None:
    """With a constant rate bit for bit as if all epochs had been asked for at once."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(tiny("schedule=constant", "epochs=4"), data, whole)
    train(tiny("schedule=constant", "epochs=2"), data, parts)
    said: list[str] = []
    train(tiny("schedule=constant", "epochs=4"), data, parts, log=said.append)
    assert any("a finished run of 2 epochs goes on to 4" in line for line in said)
    assert_same_weights(whole / "last.pt", parts / "last.pt")
    assert_same_weights(whole / "best.pt", parts / "best.pt")
    assert [row["val_loss"] for row in rows(whole)] == [row["val_loss"] for row in rows(parts)]
    assert ClassificationRecipe.load(parts / "recipe.toml").epochs == 4
    assert (parts / "result-2-epochs.json").is_file()
    with pytest.raises(BadOutput, match=r"finished; choose another folder, or more epochs than 4"):
        train(tiny("schedule=constant", "epochs=3"), data, parts)
    with pytest.raises(BadOutput, match=r"another recipe .*lr_head"):
        train(tiny("schedule=constant", "epochs=5", "lr_head=0.5"), data, parts)
    shutil.rmtree(parts / "resume")
    with pytest.raises(BadOutput, match=r"expected resume/last.ckpt to go on from"):
        train(tiny("schedule=constant", "epochs=5"), data, parts)
    assert (parts / "result.json").is_file()


def test_result_is_the_best_checkpoints_score(run: Path, data: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    by_epoch = [(float(row["val_accuracy"]), -float(row["val_loss"])) for row in rows(run)]
    best = by_epoch.index(max(by_epoch))
    assert result["best_epoch"] == best + 1
    assert result["val"]["accuracy"] == by_epoch[best][0]
    assert result["val"]["loss"] == pytest.approx(-by_epoch[best][1], rel=1e-6)
    checkpoint = load_run(run)
    test = reader_of(checkpoint.task).load(data, checkpoint.recipe).splits.test
    predictions = predict_all(checkpoint, test)
    again = checkpoint.trainer.score(predictions, test, checkpoint.labels, checkpoint.recipe)
    assert {"images": 6, **again} == result["test"]


def test_a_killed_run_goes_on_bit_for_bit(run: Path, data: Path, tmp_path: Path) -> None:
    """Killed after the epoch's metrics were written and before it could be saved for resuming: the worst moment."""

    def kill(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise Killed

    with pytest.raises(Killed):
        train(tiny(), data, tmp_path / "run", log=kill)
    assert len(rows(tmp_path / "run")) == 2
    said: list[str] = []
    train(tiny(), data, tmp_path / "run", log=said.append)
    assert [line[:7] for line in said if line.startswith("epoch")] == ["epoch 2", "epoch 3"]
    assert rows(tmp_path / "run") == rows(run)
    assert_same_weights(tmp_path / "run" / "last.pt", run / "last.pt")
    assert_same_weights(tmp_path / "run" / "best.pt", run / "best.pt")


@pytest.mark.slow
def test_kill_9_at_any_moment_and_go_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """A real signal to a real process: while the first epoch runs, then in the midst of later ones."""
    (tmp_path / "tiny.toml").write_text(TINY.replace("epochs = 3", "epochs = 6", 1))
    words = ["train", "--task", "classification", "--data", data, "--recipe", tmp_path / "tiny.toml", "--out"]
    command = [str(word) for word in (Path(sys.executable).parent / "foveal", *words)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    killed, random = tmp_path / "killed", np.random.default_rng(0)
    for epochs in (0, 1, 3):
        with subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while len(rows(killed) if (killed / "metrics.csv").exists() else []) < epochs or not killed.exists():
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(random.uniform(0.05, 0.4))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert rows(killed) == rows(tmp_path / "whole")
    for name in ("last.pt", "best.pt"):
        assert_same_weights(killed / name, tmp_path / "whole" / name)


def test_workers_do_not_change_the_result(run: Path, data: Path, tmp_path: Path) -> None:
    train(tiny(), data, tmp_path / "run", workers=1)
    assert rows(tmp_path / "run") == rows(run)


def test_a_frozen_backbone_stays_as_it_came(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    source = BACKBONES["mobilenet_v2"].build().state_dict()
    torch.save(source, tmp_path / "w.pth")
    frozen = tiny(f"weights={tmp_path / 'w.pth'}", "epochs=1", "frozen_epochs=1", "ema_decay=none")
    train(frozen, data, tmp_path / "frozen")
    after = state(tmp_path / "frozen" / "last.pt")
    backbone = {k.removeprefix("backbone.body."): v for k, v in after.items() if k.startswith("backbone.")}
    assert len(backbone) > 300
    assert all(torch.equal(value, source[f"features.{name}"]) for name, value in backbone.items())
    train(frozen.model_copy(update={"frozen_epochs": 0}), data, tmp_path / "thawed")
    thawed = state(tmp_path / "thawed" / "last.pt")
    assert not torch.equal(thawed["backbone.body.0.0.weight"], after["backbone.body.0.0.weight"])
    assert not torch.equal(thawed["backbone.body.0.1.running_mean"], after["backbone.body.0.1.running_mean"])


class TestRefusals:
    def test_a_finished_run(self, run: Path, data: Path) -> None:
        with pytest.raises(BadOutput, match="this run is finished"):
            train(tiny(), data, run)

    def test_a_folder_of_something_else(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("precious")
        with pytest.raises(BadOutput, match="expected an empty folder or an interrupted run"):
            train(tiny(), data, tmp_path)

    def test_another_recipe_or_other_data(self, data: Path, tmp_path: Path) -> None:
        def kill(line: str) -> None:
            if line.startswith("mobilenet"):
                raise Killed

        with pytest.raises(Killed):
            train(tiny(), data, tmp_path / "run", log=kill)
        with pytest.raises(BadOutput, match=r"another recipe \(epochs was 3, is 4\)"):
            train(tiny("epochs=4"), data, tmp_path / "run")
        other = draw_folders(tmp_path / "discs", per_class=11)
        with pytest.raises(BadOutput, match="on other data"):
            train(tiny(), other, tmp_path / "run")

    def test_a_loss_that_explodes_says_what_to_do(self, data: Path, tmp_path: Path) -> None:
        with pytest.raises(BadRecipe, match=r"the loss became \w+ in epoch 1, batch \d.*lower lr_head"):
            train(tiny("lr_head=1e30", "optimizer=sgd", "clip_norm=none", "warmup_epochs=0"), data, tmp_path / "run")

    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(BadCheckpoint, match=r"expected a run folder with run\.json"):
            load_run(tmp_path)

    def test_weights_of_another_network(self, run: Path, tmp_path: Path) -> None:
        for name in ("run.json", "recipe.toml"):
            (tmp_path / name).write_bytes((run / name).read_bytes())
        torch.save({"head.weight": torch.zeros(1)}, tmp_path / "best.pt")
        with pytest.raises(BadCheckpoint, match=r"best\.pt: does not fit the recipe"):
            load_run(tmp_path)


def test_ema_in_closed_form() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, multi_avg_fn=ema(0.5))
    wanted, values = None, [3.0, -1.0, 8.0, 2.0]
    for n, value in enumerate(values):
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        decay = min(0.5, (1 + n) / (10 + n))
        wanted = value if wanted is None else decay * wanted + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(wanted)


@pytest.mark.parametrize(("batches", "accumulate", "steps"), [(6, 1, 6), (6, 2, 3), (7, 2, 4), (1, 4, 1)])
def test_a_rest_of_an_accumulation_is_a_step_too(batches: int, accumulate: int, steps: int) -> None:
    assert steps_per_epoch(batches, ClassificationRecipe(accumulate=accumulate)) == steps


def test_best_is_the_metric_then_the_loss_then_the_first(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    values = [(0.5, 0.9), (0.5, 0.8), (0.7, 2.0), (0.6, 0.1), (0.7, 2.0), (0.7, 1.9)]
    found = [
        folder.record({"epoch": i, "val_x": x, "val_loss": loss}, {"w": torch.full((1,), i)}, "val_x")
        for i, (x, loss) in enumerate(values)
    ]
    assert found == [True, True, True, False, False, True]
    assert state(tmp_path / "best.pt")["w"] == 5
    assert RunFolder(tmp_path).rows == folder.rows
