"""Tuned anchors of a recipe, and the short runs that accept or refuse them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from foveal.errors import BadData, BadRecipe
from foveal.models.detection.anchor_fit import fit
from foveal.models.detection.networks.architectures import anchors_of
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.diagnose import anchor_trial
from foveal.models.diagnose.anchor_trial import Verdict, in_words, shapes_of, short_run, with_tuned_anchors
from foveal.synth.write import Order, write_data_set
from tests.helpers.commandline import foveal

SMALL = {"architecture": "ssdlite", "input_hw": (64, 96), "weights": "none", "batch_size": 4, "warmup_epochs": 0.0}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("anchors") / "blood"
    order = Order(task="object-detection", style="blood", count=14, seed=3, layout="coco", image_hw=(64, 96))
    write_data_set(order, root)
    return root


def test_shapes_are_those_of_the_network() -> None:
    recipe = DetectionRecipe(architecture="retinanet")
    cells = anchors_of(recipe).cell_anchors
    theirs = np.concatenate([cell.numpy() for cell in cells])
    sides = {tuple(np.rint(pair).tolist()) for pair in theirs[:, 2:] - theirs[:, :2]}  # torchvision rounds to pixels
    ours = shapes_of(recipe)
    assert len(ours) == len(theirs)
    assert all(min(np.abs(np.array(pair) - ours).max(1)) <= 1 for pair in sides)


def test_tuned_anchors_keep_the_recipes_layout_and_fit_better() -> None:
    rng = np.random.default_rng(0)
    side = rng.choice([9.0, 21.0, 34.0, 55.0, 300.0], 400) * rng.normal(1, 0.03, 400)
    root = np.sqrt(rng.choice([0.25, 1.0, 4.0], 400))
    sides = np.stack((side / root, side * root), 1)
    before = DetectionRecipe()
    after = with_tuned_anchors(before, sides)
    assert after.anchor_sizes_px == tuple(sorted(after.anchor_sizes_px))
    assert after.anchor_ratios == pytest.approx((0.25, 1, 4), rel=0.05)
    assert fit(sides, shapes_of(after)).mean_iou > fit(sides, shapes_of(before)).mean_iou + 0.1
    assert after.model_dump(exclude={"anchor_sizes_px", "anchor_ratios"}) == before.model_dump(
        exclude={"anchor_sizes_px", "anchor_ratios"}
    )


def test_a_levels_scales_spread_around_its_cluster() -> None:
    sides = np.full((50, 2), 40.0)
    tuned = with_tuned_anchors(DetectionRecipe(architecture="retinanet"), sides)
    assert tuned.anchor_sizes_px[0] * 2 ** (1 / 3) == pytest.approx(40, abs=0.1)


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(BadData, match="at least 5 objects"):
        with_tuned_anchors(DetectionRecipe(), np.ones((2, 2)))
    with pytest.raises(BadRecipe, match="anchors and levels of its weights"):
        shapes_of(DetectionRecipe(architecture="ssd300_vgg16"))


def test_the_command_reports_draws_and_prints_options_that_train_takes(drawn: Path, tmp_path: Path) -> None:
    image = tmp_path / "anchors.png"
    code, printed, _ = foveal("data", "anchors", drawn, "--set", "input_hw=[64, 96]", "--image", image)
    assert code == 0
    assert cv2.imread(str(image)).shape == (64, 96, 3)
    now, tuned = (line for line in printed.splitlines() if "--set" in line)
    assert now == "now: --set 'anchor_sizes_px=[16.0, 32.0, 64.0, 128.0, 256.0]' --set 'anchor_ratios=[0.5, 1.0, 2.0]'"
    given = [part for part in tuned.split("'") if "=" in part]
    assert len(DetectionRecipe.load(None, given).anchor_sizes_px) == 5
    assert printed.count("recall") >= 4


@pytest.mark.parametrize(("scores", "code"), [((0.2, 0.3), 0), ((0.3, 0.3), 1)])
def test_short_runs_decide(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: tuple[float, float], code: int
) -> None:
    """Accepted only when better: equal is not."""
    asked = []

    def run(recipe: DetectionRecipe, data_root: Path, out: Path, log: object) -> float:
        asked.append((recipe, out.name))
        return scores["tuned" in out.name]

    monkeypatch.setattr(anchor_trial, "short_run", run)
    options = ("--trial", tmp_path, "--epochs", 2, "--seeds", 2, "--json")
    got, printed, _ = foveal("data", "anchors", drawn, "--set", "input_hw=[64, 96]", *options)
    assert got == code
    assert json.loads(printed)["trial"]["accepted"] == (code == 0)
    assert [name for _, name in asked] == ["now-0", "tuned-0", "now-1", "tuned-1"]
    assert {recipe.epochs for recipe, _ in asked} == {2}
    assert asked[0][0].anchor_sizes_px != asked[1][0].anchor_sizes_px


def test_a_short_run_trains_and_leaves_the_test_split_alone(drawn: Path, tmp_path: Path) -> None:
    said: list[str] = []
    figure = short_run(DetectionRecipe(**SMALL, epochs=1), drawn, tmp_path / "run", said.append)
    assert 0 <= figure <= 1
    assert said[-1].startswith("epoch 1/1")
    assert not (tmp_path / "run" / "result.json").exists()


def test_the_verdict_in_words() -> None:
    assert in_words(Verdict("AP50", (0.5, 0.7), (0.6, 0.7))) == (
        "best val AP50 of 2 short runs each: now 0.6000 (0.5000 to 0.7000), tuned 0.6500 (0.6000 to 0.7000); "
        "tuned anchors are accepted"
    )
