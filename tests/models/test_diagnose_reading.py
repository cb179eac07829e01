"""What a diagnosis reads out of curves and images, of every task."""

import json
from pathlib import Path

import pytest
import torch

from foveal.imaging.drawing import colour_of
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.diagnose import curves
from foveal.models.diagnose.curves import Curves, judge_curves
from foveal.models.diagnose.parts import TrainingParts
from tests.helpers.commandline import foveal

GOOD = {"train_error": 0.02, "dev_error": 0.05, "train_count": 400, "dev_count": 200, "chance_error": 0.75}


@pytest.mark.parametrize(
    ("losses", "changed", "wanted"),
    [
        ([1.4, 0.5, 0.2, 0.1], {}, {"healthy"}),
        ([1.4, 0.5, 0.2, 0.1], {"dev_error": 0.3}, {"variance"}),
        ([1.4, 0.5, 0.2, 0.1], {"dev_error": 0.3, "dev_count": 10}, {"healthy"}),  # 3 of 10 tell little
        ([1.4, 0.9, 0.89, 0.88], {"train_error": 0.3, "dev_error": 0.32}, {"bias"}),
        ([1.4, 0.9, 0.89, 0.88], {"train_error": 0.3, "dev_error": 0.32, "optimal_error": 0.25}, {"healthy"}),
        ([1.4, 1.2, 1.0, 0.8], {"train_error": 0.3, "dev_error": 0.32}, {"under-trained"}),
        ([1.4], {"train_error": 0.9, "dev_error": 0.9, "chance_error": None}, {"under-trained"}),
        ([1.4, 0.9, 3.0, 2.7], {"train_error": 0.3, "dev_error": 0.32}, {"rate too high", "bias"}),
        ([1.4, 0.5, 0.2, 0.1], {"dev_error": 0.74}, {"labels do not fit", "variance"}),
        ([1.4, 0.5, 0.2, 0.1], {"doubtful": 0.08}, {"label noise"}),
    ],
)
def test_curves_in_words(losses: list[float], changed: dict, wanted: set[str]) -> None:
    rows = tuple({"epoch": i + 1, "loss": loss} for i, loss in enumerate(losses))
    assert {finding.name for finding in judge_curves(Curves(rows=rows, **{**GOOD, **changed}))} == wanted


def test_the_contact_sheet_shows_what_is_called_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong box cannot be seen on an image without boxes."""
    words = ["--task", "object-detection", "--style", "blood", "--count", 4, "--out", tmp_path / "data"]
    assert foveal("data", "synth", *words)[0] == 0
    small = ["weights=none", "input_hw=[96, 96]", "batch_size=2", "val_fraction=0.3", "test_fraction=0"]
    parts = TrainingParts.of(DetectionRecipe.load(None, small), tmp_path / "data")
    sheets: list[list] = []
    monkeypatch.setattr(curves, "contact_sheet", lambda items: sheets.append(list(items)))
    curves._top_losses(parts, parts.network(), parts.data.splits.train)
    class_id = parts.data.labels.index("RBC")
    for rgb, caption in sheets[0]:
        assert (rgb == colour_of(class_id)).all(axis=2).any()
        assert " RBC" in caption


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "style", "model_input"),
    [
        ("semantic-segmentation", "aerial", 64),
        ("object-detection", "blood", 96),
        ("instance-segmentation", "nuclei", 96),
    ],
)
def test_every_task_can_be_diagnosed(task: str, style: str, model_input: int, tmp_path: Path) -> None:
    assert foveal("data", "synth", "--task", task, "--style", style, "--count", 10, "--out", tmp_path / "data")[0] == 0
    small = ["weights=none", f"input_hw=[{model_input}, {model_input}]", "batch_size=2", "val_fraction=0.3"]
    overrides = [word for one in small for word in ("--set", one)]
    out = tmp_path / "d.html"
    words = ["--task", task, "--data", tmp_path / "data", *overrides, "--epochs", 1, "--trials", 0, "--out", out]
    code, printed, talk = foveal("diagnose", *words, "--json")
    found = {finding["name"]: finding for finding in json.loads(printed)["findings"]}
    assert code in (0, 1), talk
    assert {"initial loss", "overfit few", "leak"} <= found.keys()
    assert found["initial loss"]["verdict"] in ("ok", "note"), found
    assert torch.isfinite(torch.tensor(list(found["initial loss"]["values"]["measured"].values()))).all()
