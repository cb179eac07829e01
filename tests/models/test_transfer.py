"""Starting from an earlier run: its backbone, whatever its task, and where the weights came from."""

from pathlib import Path

import pytest
import torch

from foveal.errors import BadCheckpoint
from foveal.models.backbones import load_features, multi_scale
from foveal.models.runs import load_run
from foveal.models.tasks import trainer_of
from foveal.models.training.run_folder import read_info, save_state
from tests.helpers import runs
from tests.helpers.commandline import foveal

BACKBONE = "resnet18"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    return runs.classifier_run(tmp_path_factory.mktemp("before"), BACKBONE, model_input=32)


@pytest.mark.parametrize("load", [load_features, multi_scale])
def test_the_backbone_is_the_earlier_runs(run: runs.Run, load) -> None:
    trained = load_run(run.path).network.backbone.body.state_dict()
    loaded = load(BACKBONE, str(run.path)).body.state_dict()
    assert loaded.keys() == trained.keys()
    assert all(torch.equal(loaded[name], trained[name]) for name in trained)


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation", "semantic-segmentation"])
def test_the_run_may_be_of_any_task(task: str, run: runs.Run, tmp_path: Path) -> None:
    trainer = trainer_of(task)
    recipe = trainer.recipe_type.load(None, [f"backbone={BACKBONE}", "input_hw=[64, 64]"])
    network = trainer.build(recipe, ("a", "b"), weights=str(run.path))  # of a classifier
    save_state(tmp_path / "best.pt", network.state_dict())
    (tmp_path / "run.json").write_bytes((run.path / "run.json").read_bytes())
    again = load_features(BACKBONE, str(tmp_path)).body.state_dict()  # and back
    trained = load_run(run.path).network.backbone.body.state_dict()
    learnt = [name for name in trained if name.endswith(("weight", "bias", "running_mean", "running_var"))]
    assert all(torch.equal(again[name], trained[name]) for name in learnt)


def test_another_backbone_says_what_does_not_fit(run: runs.Run) -> None:
    with pytest.raises(BadCheckpoint, match=r"does not fit squeezenet1_1: \d+ missing"):
        load_features("squeezenet1_1", str(run.path))


def test_train_from_a_run_names_both_sources(run: runs.Run, tmp_path: Path) -> None:
    lines = ["backbone=resnet18", "input_hw=[32, 32]", "epochs=1", "frozen_epochs=1", "lr_head=1e-9", "batch_size=8"]
    words = [word for line in lines for word in ("--set", line)]
    out = tmp_path / "run"
    code, _, talk = foveal(
        "train", "--task", "classification", "--data", run.root, "--from", run.path, "--out", out, *words
    )
    assert code == 0, talk
    assert read_info(out).licences.weights == "none: random; then trained on colours: none: painted"
    before, after = (load_run(path).network.backbone.body.state_dict() for path in (run.path, out))
    weights = [name for name in before if name.endswith("weight")]
    assert all(torch.equal(before[name], after[name]) for name in weights)  # the head alone learnt


def test_what_is_no_run_and_two_sources_are_refused(run: runs.Run, tmp_path: Path) -> None:
    words = ["train", "--task", "classification", "--data", run.root, "--out", tmp_path / "x"]
    with pytest.raises(BadCheckpoint, match=r"expected a run folder with run\.json"):
        foveal(*words, "--from", tmp_path)
    code, _, talk = foveal(*words, "--from", run.path, "--weights", "none")
    assert code == 2
    assert "--from or --weights" in talk
