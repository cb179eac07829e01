"""Semantic layouts: COCO JSON painted, splits that keep a scene together, `foveal data check`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveal import synth
from foveal.cli import build
from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.models.readers import load_data
from foveal.models.reading.findings import summary
from foveal.models.segmentation.layouts import READER
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.synth.write import Order, write_data_set

HW = (60, 80)


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "nuclei"
    write_data_set(Order("instance-segmentation", "nuclei", "coco", count=10, image_hw=HW), out)
    return out


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    write_data_set(Order("semantic-segmentation", "aerial", count=10, image_hw=HW), tmp_path / "towns")
    return tmp_path / "towns"


def test_coco_objects_become_the_drawn_truth(nuclei: Path) -> None:
    data = load_data(SegmentationRecipe(), nuclei)
    assert data.layout == "COCO JSON, painted"
    assert data.labels[0] == "background"
    assert data.splits.counts() == {"train": 7, "val": 2, "test": 1}
    for i, sample in enumerate(data.splits.train):
        scene = synth.draw("nuclei", seed=0, index=i, image_hw=HW)
        covered = np.any([scene.mask(k) for k in range(len(scene.class_ids))], axis=0)
        assert np.array_equal(sample.truth.read() > 0, covered)


def test_a_smaller_object_is_painted_over_a_larger_one(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.png")

    def box(category: int, x: int, y: int, w: int, h: int) -> dict:
        polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
        return {"id": category, "image_id": 1, "category_id": category, "bbox": [x, y, w, h], "segmentation": [polygon]}

    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [box(7, 12, 12, 4, 4), box(5, 10, 10, 20, 10)],  # the small one comes first
        "categories": [{"id": 5, "name": "roof"}, {"id": 7, "name": "window"}],
    }
    (tmp_path / "all.json").write_text(json.dumps(document))
    assert summary(READER.findings(READER.read(tmp_path, SegmentationRecipe()), SegmentationRecipe())) == []
    recipe = SegmentationRecipe(val_fraction=0.3, test_fraction=0.3)
    with pytest.raises(BadData, match="split"):  # one image cannot train and validate
        load_data(recipe, tmp_path)
    reading = READER.read(tmp_path, SegmentationRecipe())
    assert reading is not None
    assert reading.labels == ("background", "roof", "window")
    expected = np.zeros((30, 40), np.uint8)
    expected[10:20, 10:30] = 1
    expected[12:16, 12:16] = 2
    assert np.array_equal(reading.samples[0].truth.read(), expected)


def test_background_can_be_ignored(tmp_path: Path) -> None:
    write_data_set(Order("instance-segmentation", "shapes", "coco", count=10, image_hw=HW), tmp_path / "d")
    data = load_data(SegmentationRecipe(ignore="background"), tmp_path / "d")
    assert "background" not in data.labels
    assert IGNORE in np.unique(data.splits.train[0].truth.read())


def test_one_class_alone_is_nothing_to_learn(nuclei: Path) -> None:
    with pytest.raises(BadData, match="every pixel that counts is of class"):
        load_data(SegmentationRecipe(ignore="background"), nuclei)


def test_parts_of_one_scene_stay_together(towns: Path) -> None:
    for split in ("train", "val", "test"):
        (towns / f"{split}.txt").unlink()
    recipe = SegmentationRecipe(group_by=r"aerial_000(\d)\d", val_fraction=0.3, test_fraction=0.0)
    with pytest.raises(BadData, match="'val'"):
        load_data(recipe, towns)  # all ten are of one group
    pairs = SegmentationRecipe(group_by=r"aerial_0000(\d)", group_block=2, val_fraction=0.3, test_fraction=0.2)
    data = load_data(pairs, towns)
    split_of = {int(s.path.stem[-1]): name for name in ("train", "val", "test") for s in data.splits[name]}
    assert len(split_of) == 10
    assert all(split_of[i] == split_of[i + 1] for i in range(0, 10, 2))


def test_a_image_in_two_lists_is_refused(towns: Path) -> None:
    (towns / "val.txt").write_text("aerial_00000\n")
    with pytest.raises(BadData, match=r"in another list too: .images/aerial_00000"):
        load_data(SegmentationRecipe(), towns)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build(list(arguments)), list(arguments))
    return done.exit_code, done.stdout


def test_data_check_lists_every_fault_and_tells_by_its_exit_code(towns: Path) -> None:
    code, said = run("data", "check", str(towns))
    assert (code, said.splitlines()[1]) == (0, "clean")
    assert said.startswith(f"{towns}, semantic-segmentation: images and masks of class ids: 10 images")
    assert "labels land, road, building, vegetation, water" in said
    (towns / "masks" / "aerial_00001.png").unlink()
    Image.fromarray(np.full(HW, 77, np.uint8)).save(towns / "masks" / "aerial_00003.png")
    Image.fromarray(np.zeros(HW[::-1], np.uint8)).save(towns / "masks" / "aerial_00005.png")
    code, said = run("data", "check", str(towns))
    assert code == 1
    named = [line.strip().split(":")[0] for line in said.splitlines() if line.startswith("  ")]
    assert named == [f"images/aerial_0000{i}.png" for i in (1, 3, 5)]


def test_data_check_hands_detection_data_on(nuclei: Path) -> None:
    code, said = run("data", "check", str(nuclei))
    assert code in (0, 1)
    assert "object-detection: COCO JSON: 10 images" in said
