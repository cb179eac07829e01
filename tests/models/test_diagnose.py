"""Planted faults must be found, and a healthy training called healthy. LeNet on 32 px drawings: seconds."""

import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn

from foveal.errors import BadOutput
from foveal.models.backbones import BACKBONES
from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.weights import unpublished
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.diagnose import search as searching
from foveal.models.diagnose.curves import judge_training
from foveal.models.diagnose.leakage import find_leakage
from foveal.models.diagnose.parts import TrainingParts
from foveal.models.diagnose.range_test import judge_rate, range_test, read_curve
from foveal.models.diagnose.sanity_checks import initial_loss, overfit_few
from foveal.models.diagnose.search import Plan, Search, Trial, coarse_box, fine_box
from foveal.models.diagnose.tuning import tune
from foveal.models.tasks import TRAINERS
from tests.helpers.commandline import foveal

RECIPE = """
backbone = "lenet5_modern"
weights = "none"
input_hw = [32, 32]
resize_mode = "stretch"
epochs = 8
frozen_epochs = 0
batch_size = 16
lr_head = 3e-3
lr_backbone = 3e-3
label_smoothing = 0
dropout = 0
flip = false
rotate_deg = 0
scale_min = 1
hue = 0
test_fraction = 0
val_fraction = 0.25
"""
LINES = RECIPE.strip().splitlines()


def recipe(*overrides: str) -> ClassificationRecipe:
    return ClassificationRecipe.load(None, [*LINES, *overrides])


def draw(root: Path, count: int, *, noise: int = 20, seed: int = 0) -> Path:
    """Four classes: dark or bright, with a dot on the left or on the right."""
    rng = np.random.default_rng(seed)
    for level, brightness in (("dark", 60), ("bright", 180)):
        for side, x in (("left", 9), ("right", 23)):
            folder = root / f"{level}-{side}"
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.full((32, 32, 3), brightness, np.float32)
                cv2.circle(image, (x + int(rng.integers(-3, 4)), int(rng.integers(8, 24))), 4, (120, 120, 120), -1)
                image += rng.normal(0, noise, image.shape)
                cv2.imwrite(str(folder / f"{i:03}.png"), image.clip(0, 255).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn") / "dots", 40)


@pytest.fixture(scope="module")
def shuffled(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in folders drawn by lot."""
    root, rng = tmp_path_factory.mktemp("shuffled"), np.random.default_rng(0)
    classes = sorted(p.name for p in data.iterdir())
    for i, path in enumerate(sorted(data.rglob("*.png"))):
        target = root / rng.choice(classes) / f"{i:03}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    return root


def parts(root: Path, *overrides: str) -> TrainingParts:
    return TrainingParts.of(recipe(*overrides), root)


def names(root: Path, folder: Path, *overrides: str) -> set[str]:
    findings, _ = judge_training(parts(root, *overrides), folder, optimal_error=0.0)
    return {finding.name for finding in findings}


class TestInitialLoss:
    def test_a_fresh_head_is_at_theory(self, data: Path) -> None:
        finding = initial_loss(parts(data))
        assert finding.verdict == "ok"
        assert finding.values["expected"] == {"cross_entropy": math.log(4)}
        assert finding.values["measured"]["cross_entropy"] == pytest.approx(math.log(4), rel=0.1)

    def test_a_badly_initialised_head_is_found(self, data: Path) -> None:
        one = parts(data)
        network = one.network()
        nn.init.normal_(network.head.weight, std=3.0)
        assert initial_loss(one, network).verdict == "fault"

    def test_focal_theory(self) -> None:
        expected = ClassificationTrainer().initial_loss(recipe("loss=focal", "focal_gamma=2"), 4)
        assert expected == {"focal": pytest.approx(math.log(4) * 0.75**2)}


class TestOverfitFew:
    def test_a_handful_is_overfitted(self, data: Path) -> None:
        assert overfit_few(parts(data))[0].verdict == "ok"

    def test_equal_images_under_different_labels_are_found(self, data: Path, tmp_path: Path) -> None:
        image = next(data.rglob("*.png"))
        for name in "abcd":
            (tmp_path / "same" / name).mkdir(parents=True)
            for i in range(6):
                shutil.copy(image, tmp_path / "same" / name / f"{i}.png")
        assert overfit_few(parts(tmp_path / "same"), steps=40)[0].verdict == "fault"


class TestRate:
    def test_curve_is_read_where_it_falls_fastest_and_where_it_is_lost(self) -> None:
        rates = np.geomspace(1e-6, 10, 60)
        log = np.log10(rates)
        losses = 2 - 1.5 / (1 + np.exp(-6 * (log + 3))) + 3 / (1 + np.exp(-6 * (log - 0)))  # falls at 1e-3, up at 1
        found = read_curve(rates.tolist(), losses.tolist())
        assert 5e-4 < found.suggested < 5e-3
        assert found.too_high is not None
        assert 0.3 < found.too_high < 5

    def test_a_rate_a_hundred_times_too_high_is_found(self, data: Path) -> None:
        test = range_test(parts(data))
        good, _ = judge_rate(test, 3e-3)
        assert good.verdict == "ok", good.words
        high, _ = judge_rate(test, 3e-1)
        assert high.name == "learning rate too high", f"{high.words}; {test}"
        assert high.verdict == "fault"
        assert judge_rate(test, 1e-7)[0].name == "learning rate low"


class TestLearning:
    def test_a_healthy_training_is_called_healthy(self, data: Path, tmp_path: Path) -> None:
        assert names(data, tmp_path) == {"healthy"}

    def test_shuffled_labels(self, shuffled: Path, tmp_path: Path) -> None:
        assert "labels do not fit" in names(shuffled, tmp_path)

    def test_a_tiny_model_has_bias(self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that sees nothing but the mean colour: it tells dark from bright and no more."""

        class MeanColour(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.features = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1))

        spec = BackboneSpec(
            name="mean-colour",
            summary="",
            build=MeanColour,
            backbone=lambda network: network.features,
            head=(),
            out_channels=4,
            imagenet=unpublished("mean-colour"),
            licence="",
            taps=None,
        )
        monkeypatch.setitem(BACKBONES, "mean-colour", spec)
        found = names(data, tmp_path, "backbone=mean-colour", "lr_head=0.03", "lr_backbone=0.03", "epochs=10")
        assert found == {"bias"}

    def test_tiny_data_have_variance(self, tmp_path: Path) -> None:
        draw(tmp_path / "dots" / "train", 3, noise=45)
        draw(tmp_path / "dots" / "val", 30, noise=45, seed=1)
        found = names(tmp_path / "dots", tmp_path / "run", "epochs=40", "batch_size=12", "brightness=0", "saturation=0")
        assert "variance" in found
        assert "bias" not in found

    def test_a_rate_that_loses_the_loss(self, data: Path, tmp_path: Path) -> None:
        wild = ["optimizer=sgd", "lr_head=1e20", "lr_backbone=1e20", "warmup_epochs=0"]
        assert names(data, tmp_path, *wild) == {"rate too high"}

    def test_a_leak_is_found_even_if_brightened(self, data: Path, tmp_path: Path) -> None:
        one = parts(data)
        assert find_leakage(one.data, one.task.preprocess(one.recipe)).verdict == "ok"
        for split, part in (("train", slice(0, 20)), ("val", slice(20, 40))):
            for folder in data.iterdir():
                (tmp_path / split / folder.name).mkdir(parents=True)
                for path in sorted(folder.iterdir())[part]:
                    shutil.copy(path, tmp_path / split / folder.name)
        stolen = cv2.imread(str(tmp_path / "train" / "dark-left" / "000.png"))
        cv2.imwrite(str(tmp_path / "val" / "bright-left" / "x.png"), cv2.add(stolen, (3, 3, 3, 0)))
        two = parts(tmp_path)
        found = find_leakage(two.data, two.task.preprocess(two.recipe))
        assert (found.verdict, found.values["leaked"]) == ("fault", 1)
        assert found.values["pairs"] == [("val/bright-left/x.png", "train/dark-left/000.png")]


@pytest.mark.parametrize("task", TRAINERS)
def test_an_unregularised_recipe_has_nothing_that_varies_images(task: str) -> None:
    """A new field that varies images must be named in its recipe's UNREGULARISED: these are the fields that do not."""
    before = TRAINERS[task].recipe_type.load(None, ["weights=none"])
    left = {name for name, value in before if getattr(before.unregularised(), name) == value}
    assert not left & {"flip", "brightness", "hue", "saturation", "scale_min", "rotate_90"} - {"rotate_90"}
    assert before.UNREGULARISED.keys() <= type(before).model_fields.keys()
    assert before.unregularised() == before.unregularised().unregularised()


class TestSearch:
    def test_boxes(self) -> None:
        box = coarse_box(recipe("weight_decay=0"), suggested=3e-2)
        assert box["lr_head"] == pytest.approx((1e-3, 0.3))
        assert box["lr_backbone"] == pytest.approx((1e-3, 0.3))
        assert box["weight_decay"] == pytest.approx((1e-7, 1e-2))
        trials = [Trial("coarse", {"lr_head": 10.0**-i}, metric, 0.1) for i, metric in enumerate((0.1, 0.9, 0.8, 0.7))]
        assert fine_box(trials)["lr_head"] == pytest.approx((1e-3 / 1.5, 0.15))

    def test_a_killed_search_goes_on(self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = Plan(coarse=3, fine=2, epochs=1)
        calls = []

        def evaluated(_: TrainingParts, fields: dict, __: int) -> tuple[float, float]:
            calls.append(fields)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return 1 / (1 + abs(math.log10(fields["lr_head"]) + 2.5)), 0.0

        monkeypatch.setattr(searching, "evaluate", evaluated)
        with pytest.raises(KeyboardInterrupt):
            tune(recipe(), data, tmp_path, plan)
        best = tune(recipe(), data, tmp_path, plan)
        assert len(calls) == 6  # the one that was cut off, again
        found = Search(parts(data), plan, tmp_path / "study.journal").trials
        assert [trial.phase for trial in found] == ["coarse"] * 3 + ["fine"] * 2
        assert len({trial.fields["lr_head"] for trial in found}) == 5
        written = ClassificationRecipe.load(tmp_path / "best.toml")
        assert written == recipe().model_copy(update=best["fields"])
        with pytest.raises(BadOutput, match="a search of another recipe"):
            tune(recipe("epochs=3"), data, tmp_path, plan)

    def test_a_trial_is_a_short_training(self, data: Path) -> None:
        good = searching.evaluate(parts(data), {"lr_head": 3e-3, "lr_backbone": 3e-3}, 4)
        assert good > searching.evaluate(parts(data), {"lr_head": 1e-9, "lr_backbone": 1e-9}, 1)
        lost = searching.evaluate(parts(data, "optimizer=sgd"), {"lr_head": 1e20, "lr_backbone": 1e20}, 1)
        assert lost == searching.DIVERGED


def test_the_command_writes_one_report_and_tells_programs(data: Path, shuffled: Path, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    said = ["--task", "classification", "--recipe", tmp_path / "r.toml", "--epochs", 8]
    html = tmp_path / "d.html"
    code, printed, talk = foveal("diagnose", *said, "--data", data, "--trials", 3, "--out", html, "--json")
    found = json.loads(printed)
    assert (code, found["healthy"]) == (0, True), talk
    assert {finding["step"] for finding in found["findings"]} == {1, 2, 3, 4, 5, 6}
    text = html.read_text()
    assert text.count("<h2>") == 7
    assert text.count("data:image/png;base64,") == 5
    code, printed, _ = foveal("diagnose", *said, "--data", shuffled, "--trials", 0, "--out", html)
    assert code == 1
    assert "faults found" in printed


@pytest.mark.slow
def test_trials_in_processes_of_their_own(data: Path, tmp_path: Path) -> None:
    plan = Plan(coarse=3, fine=0, epochs=1, jobs=2)
    assert tune(recipe(), data, tmp_path, plan)["trials"] == 3
