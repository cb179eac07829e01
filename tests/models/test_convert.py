"""`foveal data convert`: there and back again gives the same truth, within what the layouts can hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveal.errors import BadData, BadOutput
from foveal.models.convert.convert import convert_data
from foveal.models.readers import reader_of
from foveal.synth.write import Order, write_data_set


def read(task: str, root: Path) -> dict[str, Any]:
    """File stem -> (split, truth), and the labels under ""."""
    reading = reader_of(task).read(root, reader_of(task).recipe_type())
    assert reading is not None
    return {s.path.stem: (reading.split_of.get(s.name), s.truth) for s in reading.samples} | {"": reading.labels}


def draw(root: Path, task: str, layout: str, style: str = "shapes") -> Path:
    write_data_set(Order(task, style, layout, count=10, image_hw=(60, 90)), root)
    return root


@pytest.mark.parametrize(("via", "apart_px"), [("yolo", 1e-3), ("voc", 0.0), ("coco", 0.0)])
def test_coco_there_and_back(tmp_path: Path, via: str, apart_px: float) -> None:
    task = "object-detection"
    before = read(task, draw(tmp_path / "a", task, "coco"))
    convert_data(tmp_path / "a", via, tmp_path / "b")
    convert_data(tmp_path / "b", "coco", tmp_path / "c")
    after = read(task, tmp_path / "c")
    assert after.keys() == before.keys()
    names = before.pop("")
    assert sorted(after.pop("")) == sorted(names)
    order = names if via != "voc" else tuple(sorted(names))
    for stem, (split, truth) in before.items():
        assert after[stem][0] == split
        assert np.abs(after[stem][1].boxes_xyxy - truth.boxes_xyxy).max(initial=0) <= apart_px
        assert [order[i] for i in after[stem][1].class_ids] == [names[i] for i in truth.class_ids]


def test_masks_to_coco_and_back(tmp_path: Path) -> None:
    task = "semantic-segmentation"
    before = read(task, draw(tmp_path / "a", task, "masks", "aerial"))
    convert_data(tmp_path / "a", "coco", tmp_path / "b")
    convert_data(tmp_path / "b", "masks", tmp_path / "c", task=task)
    after = read(task, tmp_path / "c")
    assert after.pop("") == before.pop("")
    for stem, (split, truth) in before.items():
        assert after[stem][0] == split
        assert np.array_equal(after[stem][1].read(), truth.read())


@pytest.mark.parametrize("layout", ["folders", "split-folders"])
def test_folders_to_folders(tmp_path: Path, layout: str) -> None:
    draw(tmp_path / "a", "classification", layout)
    (tmp_path / "b").mkdir()
    convert_data(tmp_path / "a", "folders", tmp_path / "b", link=True)
    assert read("classification", tmp_path / "b") == read("classification", tmp_path / "a")


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "a", "classification", "folders")
    with pytest.raises(BadData, match="can be written as folders, not as voc"):
        convert_data(tmp_path / "a", "voc", tmp_path / "b")
    with pytest.raises(BadOutput):
        convert_data(tmp_path / "a", "folders", tmp_path / "a")
