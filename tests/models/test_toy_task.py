"""A toy fifth task through every command of the models' stage, from its own module and one line in each registry."""

import json
from pathlib import Path

import pytest

from foveal.models.readers import READERS
from foveal.models.runs import load_run
from foveal.models.tasks import TRAINERS
from tests.helpers.commandline import foveal
from tests.helpers.toy import models as toy

FAST = ["--set", "epochs=8", "--set", "batch_size=4", "--set", "lr_head=0.05", "--set", "lr_backbone=0.05"]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINERS, toy.NAME, toy.MeasurementTrainer())
    monkeypatch.setitem(READERS, toy.NAME, toy.READER)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_measured(tmp_path_factory.mktemp("toy") / "greys")


def test_train(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, printed, talk = foveal("train", "--task", toy.NAME, "--data", data, "--out", run, *FAST)
    assert code == 0, talk
    assert "accuracy" in printed
    assert json.loads((run / "run.json").read_text())["task"] == toy.NAME
    assert json.loads((run / "result.json").read_text())["test"]["accuracy"] > 0.8
    assert (run / "values.txt").read_text()
    assert load_run(run).labels == ("brightness",)


def test_check(data: Path, tmp_path: Path) -> None:
    code, printed, _ = foveal("data", "check", data)
    assert (code, printed.splitlines()[-1]) == (0, "clean")
    odd = toy.write_measured(tmp_path / "odd")
    table = (odd / toy.LAYOUT).read_text().splitlines()
    (odd / toy.LAYOUT).write_text("\n".join([table[0], table[1].split(",")[0] + ",7", *table[2:]]))
    code, printed, _ = foveal("data", "check", odd)
    assert code == 1
    assert "00.png: outside 0..1: 7.0" in printed


def test_view(data: Path, tmp_path: Path) -> None:
    code, printed, talk = foveal("data", "view", data, "--task", toy.NAME, "--out", tmp_path / "view", "--json")
    assert code == 0, talk
    figures = json.loads(printed)
    assert sum(split["brightness"] for split in figures["classes"].values()) == 24
    assert "object_px" not in figures


def test_diagnose_and_recipe(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.html"
    words = ["--task", toy.NAME, "--data", data, "--out", out, "--epochs", 2, "--trials", 0, "--json", *FAST[2:]]
    code, printed, talk = foveal("diagnose", *words)
    assert code in (0, 1), talk
    found = {finding["name"]: finding["verdict"] for finding in json.loads(printed)["findings"]}
    assert found["initial loss"] == "note"  # no theory is known for it
    assert {"overfit few", "leak"} <= found.keys()
    code, printed, _ = foveal("recipe", "show", "--task", toy.NAME)
    assert code == 0
    assert "mirror = true" in printed
