"""What a new user meets: progress, interruption and resuming, workers that fail, presets, notes before a training."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foveal import progress
from foveal.errors import BadImage, BadRecipe, UnknownName
from foveal.models.backbones import load_features
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.data.dataset import DataSet, Sample, Splits
from foveal.models.data.loading import SampleKey, SampleKeySampler
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.detection.trainer import DetectionTrainer
from foveal.models.readers import reader_of
from foveal.models.tasks import check_buildable
from foveal.models.training.advice import advice, fitting_hw, padding_share, rare_classes
from foveal.models.training.module import epoch_line
from foveal.models.training.workers import WorkersFailed, expect_room, tensor_bytes, worker_faults
from foveal.progress import Meter, duration, progress_line
from tests.helpers.commandline import foveal
from tests.helpers.images import draw_folders

ROOT = Path(__file__).parents[2]
TINY = ["backbone=lenet5_modern", "weights=none", "input_hw=[32, 32]", "batch_size=6", "val_fraction=0.25"]


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folders(tmp_path_factory.mktemp("drawn") / "discs", per_class=8)


def words(*overrides: str) -> list[str]:
    return [word for one in (*TINY, *overrides) for word in ("--set", one)]


class TestProgress:
    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    def test_a_line_has_rate_and_time_left(self) -> None:
        assert progress_line("evaluate", 120, 400, 30) == "evaluate: 120 of 400, 4.0/s, 1 min 10 s left"
        assert progress_line("evaluate", 0, 400, 0) == "evaluate: 0 of 400, 0.0/s"

    def test_a_pipe_gets_a_line_now_and_then_and_no_flood(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clock = iter(float(second) for second in range(1000))
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
        with Meter("work", 100) as meter:
            for _ in range(100):
                meter.advance()  # one a second
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(",")[0] for line in lines] == ["work: 30 of 100", "work: 60 of 100", "work: 90 of 100"]

    def test_short_work_is_silent_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert list(progress.track(range(5), total=5, what="work")) == [0, 1, 2, 3, 4]
        assert capsys.readouterr() == ("", "")

    def test_a_terminal_gets_a_bar(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        with Meter("epoch 1/2, batches", 4) as meter:
            meter.advance(3)
        assert "epoch 1/2, batches" in capsys.readouterr().err

    def test_an_epochs_line(self) -> None:
        row = {"epoch": 2, "loss": 0.5, "val_accuracy": 0.75, "val_macro_f1": 0.7, "seconds": 10.0}
        line = epoch_line(row, 5, ("accuracy", "macro_f1"), best=True, left_s=90)
        assert line == (
            "epoch 2/5  loss 0.5000  val accuracy 0.7500  macro_f1 0.7000  10.0 s, 1 min 30 s left at most  best so far"
        )


class TestInterruption:
    def test_ctrl_c_says_what_was_saved_and_the_run_goes_on(self, discs: Path, tmp_path: Path) -> None:
        out = tmp_path / "run"
        command = [sys.executable, "-c", "from foveal.cli import main; main()", "train", "--task", "classification"]
        command += ["--data", str(discs), "--out", str(out), *words("epochs=100000", "frozen_epochs=0")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            deadline = time.monotonic() + 120
            while not (out / "resume" / "last.ckpt").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, talk = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert "Traceback" not in talk
        *_, saved, how = talk.splitlines()
        assert "interrupted; " in saved
        assert "of 100000; best so far: epoch" in saved
        assert how == f"to go on: foveal train --resume {out}"
        recipe = out / "recipe.toml"
        finished = len((out / "metrics.csv").read_text().splitlines())  # the run may end now: so many epochs are enough
        recipe.write_text(recipe.read_text().replace("epochs = 100000", f"epochs = {finished}"))
        code, printed, talk = foveal("train", "--resume", out)
        assert code == 0
        assert "goes on after epoch" in talk
        assert "test: " in printed

    def test_resume_takes_nothing_else(self, discs: Path, tmp_path: Path) -> None:
        code, _, talk = foveal("train", "--resume", tmp_path, "--data", discs)
        assert code == 2
        assert "expected no --data" in talk
        code, _, talk = foveal("train", "--resume", tmp_path, "--set", "lr_head=1")
        assert code == 2
        assert "expected no --set but epochs" in talk

    def test_what_is_missing_is_named(self, discs: Path) -> None:
        code, _, talk = foveal("train", "--data", discs)
        assert code == 2
        assert "--task, --out" in talk


class Items:
    """A data set whose items take so many bytes."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __getitem__(self, key: SampleKey) -> dict[str, object]:
        return {"image": torch.zeros(self._size, dtype=torch.uint8), "target": {"boxes": torch.zeros(2, 4)}}


class TestWorkers:
    def test_too_little_shared_memory_is_named_with_both_remedies(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = 64 * 1024
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free})())
        expect_room(Items(100), batch_size=8, workers=2, folder=tmp_path)
        expect_room(Items(10_000), batch_size=8, workers=0, folder=tmp_path)
        expect_room(Items(10_000), batch_size=8, workers=2, folder=tmp_path / "none")
        with pytest.raises(WorkersFailed, match=r"321 kB free for 2 workers .*got 66 kB: .*--shm-size.*--workers 0"):
            expect_room(Items(10_000), batch_size=8, workers=2, folder=tmp_path)

    def test_bytes_of_nested_items(self) -> None:
        item = (torch.zeros(3, dtype=torch.uint8), [{"a": torch.zeros(2)}, 7], "text")
        assert tensor_bytes(item) == 3 + 8

    @pytest.mark.parametrize(
        "text",
        [
            "DataLoader worker (pid(s) 4711) exited unexpectedly",
            "DataLoader worker (pid 4711) is killed by signal: Killed. ",
            "DataLoader timed out after 600 seconds",
        ],
    )
    def test_dead_and_stuck_workers(self, text: str) -> None:
        with pytest.raises(WorkersFailed, match=r"^DataLoader .*--shm-size .*--workers 0"), worker_faults():
            raise RuntimeError(text)

    def test_a_bad_image_in_a_worker_is_one_line(self) -> None:
        text = (
            "Caught BadImage in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File …\n"
        )
        with pytest.raises(BadImage, match=r"^a\.png: cut short: 3 bytes$"), worker_faults():
            raise BadImage(text + "foveal.errors.BadImage: a.png: cut short: 3 bytes\n")

    def test_other_faults_pass(self) -> None:
        with pytest.raises(RuntimeError, match="out of memory"), worker_faults():
            raise RuntimeError("out of memory")


class TestRecipes:
    def test_an_unknown_preset_lists_the_choices(self) -> None:
        with pytest.raises(BadRecipe, match=r"smal: expected a TOML file or one of large, medium, small"):
            ClassificationRecipe.load(Path("smal"))

    def test_a_misspelt_file_too(self, tmp_path: Path) -> None:
        with pytest.raises(BadRecipe, match=r"x\.toml: expected a TOML file or one of"):
            ClassificationRecipe.load(tmp_path / "x.toml")

    def test_show_refuses_what_no_network_can_be_built_of(self) -> None:
        with pytest.raises(UnknownName, match=r"unknown backbone 'resnet19'; choices: .*resnet18"):
            foveal("recipe", "show", "--set", "backbone=resnet19")
        with pytest.raises(BadRecipe, match="at least 32 px"):
            check_buildable(ClassificationRecipe.load(None, ["input_hw=[8, 8]"]))
        with pytest.raises(BadRecipe, match="no maps at strides"):
            check_buildable(DetectionRecipe.load(None, ["backbone=lenet5"]))

    def test_defaults_suit_photographs(self) -> None:
        for recipe in (DetectionRecipe.load(), DetectionRecipe.load(Path("small"))):
            assert recipe.flip
            assert not recipe.flip_vertical
            assert not recipe.rotate_90


def classified(counts: dict[str, tuple[int, int, int]], root: Path) -> DataSet[int]:
    """label -> images in train, val and test; all the same file."""
    path = root / "a.png"
    Image.new("RGB", (48, 36)).save(path)
    splits = [
        tuple(Sample(f"{label}/{i}", path, c) for c, (label, many) in enumerate(counts.items()) for i in range(many[k]))
        for k in range(3)
    ]
    return DataSet("drawn", "folders", tuple(counts), Splits(*splits), "sha256:0")


class TestImbalance:
    def test_held_out_splits_without_a_rare_class_are_named(self, tmp_path: Path) -> None:
        data = classified({"common": (99, 20, 20), "rare": (1, 0, 2)}, tmp_path)
        val, test = rare_classes(ClassificationTrainer(), data)
        assert val.startswith("val holds no rare, of 20 images: ")
        assert test.startswith("test holds 2 rare, of 22 images: ")
        assert rare_classes(ClassificationTrainer(), classified({"a": (9, 9, 9), "b": (9, 9, 9)}, tmp_path)) == []

    def test_macro_f1_tells_what_accuracy_hides(self, tmp_path: Path) -> None:
        samples = classified({"common": (99, 0, 0), "rare": (1, 0, 0)}, tmp_path).splits.train
        always_common = [np.array([1.0, 0.0], np.float32)] * 100
        scores = ClassificationTrainer().score(always_common, samples, ("common", "rare"), ClassificationRecipe())
        assert scores["accuracy"] == 0.99
        assert scores["macro_f1"] == pytest.approx(0.4975, abs=1e-3)

    def test_class_weights_make_each_class_count_the_same(self, tmp_path: Path) -> None:
        trainer, samples = ClassificationTrainer(), classified({"a": (9, 0, 0), "b": (1, 0, 0)}, tmp_path).splits.train
        recipe = ClassificationRecipe.load(None, [*TINY, "class_weights=true", "label_smoothing=0"])
        network = trainer.build(recipe, ("a", "b"), weights="none").eval()
        before = set(network.state_dict())
        trainer.prepare(network, samples, recipe)
        assert set(network.state_dict()) == before  # checkpoints stay as they were
        assert network.class_weights.tolist() == pytest.approx([10 / 18, 5])
        images = torch.randint(0, 256, (10, 32, 32, 3), dtype=torch.uint8)
        truths = torch.tensor([0] * 9 + [1])
        losses = torch.nn.functional.cross_entropy(network(images), truths, reduction="none")
        for loss in ("cross-entropy", "focal"):
            fields = recipe.model_copy(update={"loss": loss, "focal_gamma": 0.0})
            (value,) = trainer.loss(network, (images, truths), fields).values()
            assert value.item() == pytest.approx((losses[:9].mean() + losses[9]).item() / 2, rel=1e-4)

    def test_balanced_sampling_draws_every_class_alike_and_by_its_seed_alone(self, tmp_path: Path) -> None:
        samples = classified({"a": (190, 0, 0), "b": (10, 0, 0)}, tmp_path).splits.train
        recipe = ClassificationRecipe.load(None, ["sampling=balanced"])
        shares = ClassificationTrainer().sampling_shares(samples, recipe)
        assert shares is not None
        sampler = SampleKeySampler(200, seed=3, shares=shares)
        keys = list(sampler)
        assert keys == list(sampler)
        rare = [key for key in keys if samples[key.index].truth == 1]
        assert 70 < len(rare) < 130
        assert len({key.seed for key in keys}) == 200  # the same image is augmented anew each time
        assert ClassificationTrainer().sampling_shares(samples, ClassificationRecipe()) is None

    def test_both_at_once_are_refused(self) -> None:
        with pytest.raises(BadRecipe, match="class_weights: expected false with sampling balanced"):
            ClassificationRecipe.load(None, ["class_weights=true", "sampling=balanced"])


class TestModelInput:
    def test_padding_and_what_fits(self) -> None:
        sizes = np.array([[360, 480]] * 3)
        assert padding_share((512, 512), sizes) == pytest.approx(0.25)
        assert fitting_hw((512, 512), sizes) == (384, 512)
        assert padding_share((384, 512), sizes) == pytest.approx(0)
        assert fitting_hw((320, 416), np.array([[1600, 900]])) == (320, 192)  # portraits
        assert fitting_hw((320, 416), np.array([[300, 400]])) == (320, 416)

    def test_a_note_proposes_another_model_input(self, tmp_path: Path) -> None:
        data = classified({"a": (9, 9, 9)}, tmp_path)
        square = DetectionRecipe.load(None, ["input_hw=[512, 512]"])
        (line,) = advice(NoCounts(), square, data)
        assert "48 × 36" in line
        assert "25%" in line
        assert "--set input_hw=[384,512]" in line
        assert advice(NoCounts(), square.model_copy(update={"rotate_90": True}), data) == []
        assert advice(NoCounts(), DetectionRecipe(), data) == []


class NoCounts(DetectionTrainer):
    """A trainer whose truths are not looked at."""

    counts_at_once = False


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_state_what_the_zoo_was_trained_with(recipe: Path) -> None:
    """Also where a default has changed since."""
    trained = json.loads((ROOT / "zoo" / recipe.stem / "1" / "manifest.json").read_text())["recipe"]
    now = reader_of(trained["task"]).recipe_type.load(recipe).model_dump(mode="json")
    renamed = {"weights", "train_on_val"}  # a file's place; a field that came later
    assert {name: now[name] for name in trained if name not in renamed} == {
        name: value for name, value in trained.items() if name not in renamed
    }


def test_the_default_backbones_weights_come_with_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    recipe = ClassificationRecipe()
    assert recipe.weights == "imagenet"
    load_features(recipe.backbone, recipe.weights)
