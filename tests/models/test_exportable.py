"""What no package could be made of is refused before training, in export's own words: messages, not tracebacks."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from foveal.errors import BadData, BadRecipe
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.data.dataset import DataSet
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.readers import load_data
from foveal.models.tasks import TRAINERS
from foveal.models.training.exportable import check_exportable, held_out_note
from tests.helpers.commandline import foveal
from tests.helpers.images import draw_folders
from tests.helpers.runs import classifier_run

RECIPE = ["backbone=lenet5_modern", "weights=none", "input_hw=[32, 32]", "epochs=1", "val_fraction=0.25"]
NOTHING_HELD_OUT = "expected held-out images in split 'test' or 'val', got none"


def recipe(*overrides: str) -> ClassificationRecipe:
    return ClassificationRecipe.load(None, [*RECIPE, *overrides])


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folders(tmp_path_factory.mktemp("drawn") / "discs", per_class=8)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a network fails the test: the refusal must come first."""

    def build(*_: object, **__: object) -> None:
        raise AssertionError("a network was built")

    for trainer in TRAINERS.values():
        monkeypatch.setattr(type(trainer), "build", build)


def coco(root: Path, names: list[str], *, count: int = 12) -> Path:
    """A box in each grey image, of each category in turn."""
    (root / "images").mkdir(parents=True)
    images, rows = [], []
    for i in range(count):
        cv2.imwrite(str(root / "images" / f"{i:02}.png"), np.full((48, 64, 3), 90 + i, np.uint8))
        images.append({"id": i, "file_name": f"{i:02}.png", "height": 48, "width": 64})
        if names:
            category, box = i % len(names) + 1, [4, 4, 20, 20]
            rows.append({"id": i + 1, "image_id": i, "category_id": category, "bbox": box, "area": 400, "iscrowd": 0})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    document = {"images": images, "annotations": rows, "categories": categories}
    (root / "instances.json").write_text(json.dumps(document))
    return root


def train(task: str, data: Path, out: Path, *overrides: str) -> None:
    words = [word for one in overrides for word in ("--set", one)]
    foveal("train", "--task", task, "--data", data, "--out", out, *words)


@pytest.mark.usefixtures("no_network")
class TestBeforeTraining:
    def test_nothing_held_out(self, discs: Path, tmp_path: Path) -> None:
        with pytest.raises(BadData, match=f"discs: {NOTHING_HELD_OUT}"):
            train("classification", discs, tmp_path / "run", *RECIPE, "test_fraction=0", "train_on_val=true")
        assert not (tmp_path / "run").exists()

    def test_a_label_twice(self, tmp_path: Path) -> None:
        with pytest.raises(BadData, match=r"label twice: 1 .*\n  instances\.json, category 3: 'red'"):
            train("object-detection", coco(tmp_path / "cells", ["red", "white", "red"]), tmp_path / "run")

    def test_no_label(self, tmp_path: Path) -> None:
        with pytest.raises(BadData, match="nothing to learn: 1 "):
            train("object-detection", coco(tmp_path / "cells", []), tmp_path / "run")

    def test_test_images_that_cannot_be_read(self, tmp_path: Path) -> None:
        """Training would see them only after its last epoch."""
        root = draw_folders(tmp_path / "discs", per_class=8)
        broken = load_data(recipe(), root).splits.test[0]
        broken.path.write_bytes(broken.path.read_bytes()[:60])
        with pytest.raises(BadData, match=f"unreadable image: 1 .*\n  {broken.name}: "):
            train("classification", root, tmp_path / "run", *RECIPE)

    def test_objects_without_masks(self, tmp_path: Path) -> None:
        with pytest.raises(BadData, match=r"missing mask: 12 "):
            train("instance-segmentation", coco(tmp_path / "cells", ["red"]), tmp_path / "run")
        assert load_data(DetectionRecipe(), tmp_path / "cells").labels == ("red",)

    @pytest.mark.parametrize("task", TRAINERS)
    def test_a_model_input_without_pixels(self, task: str, discs: Path, tmp_path: Path) -> None:
        with pytest.raises(BadRecipe, match=r"input_hw\.\d: .*greater than or equal to 1"):
            train(task, discs, tmp_path / "run", "input_hw=[0, 0]")


def test_a_data_set_that_can_be_exported_passes(discs: Path) -> None:
    data = load_data(recipe(), discs)
    check_exportable(ClassificationTrainer(), recipe(), data)
    assert held_out_note(data) == []


def test_val_alone_can_be_exported_and_that_is_said(discs: Path) -> None:
    fields = recipe("test_fraction=0")
    data = load_data(fields, discs)
    check_exportable(ClassificationTrainer(), fields, data)
    (note,) = held_out_note(data)
    assert "no images in split 'test'" in note
    assert "--split val" in note


def test_images_without_objects_need_no_mask(tmp_path: Path) -> None:
    root = tmp_path / "cells"
    coco(root, ["red"])
    document = json.loads((root / "instances.json").read_text())
    outline = [[4, 4, 24, 4, 24, 24, 4, 24]]
    document["annotations"] = [{**row, "segmentation": outline} for row in document["annotations"][:1]]
    (root / "instances.json").write_text(json.dumps(document))
    found: DataSet = load_data(InstanceRecipe(), root)
    trainer = TRAINERS["instance-segmentation"]
    empty = [sample for sample in found.splits.train if not len(sample.truth)]
    item = trainer.unaugmented_set(empty, InstanceRecipe())[0]
    assert item["target"]["masks"].shape[0] == 0


def test_export_says_the_same(tmp_path: Path) -> None:
    """A run of an earlier version, which did not ask before training."""
    run = classifier_run(tmp_path / "old", "lenet5_modern", model_input=32)
    toml = (run.path / "recipe.toml").read_text()
    lines = ["test_fraction = 0" if line.startswith("test_fraction =") else line for line in toml.splitlines()]
    (run.path / "recipe.toml").write_text("\n".join(lines))
    with pytest.raises(BadData, match=r"colours: no images in split 'test'; choose .*train \(30 images\), val"):
        foveal("export", run.path, "--out", tmp_path / "zoo" / "colours" / "1")
