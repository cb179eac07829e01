"""The gate before training: data without usable truth stops `foveal train` (exit code 2) before anything is made."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveal import cli
from foveal.errors import BadData
from tests.helpers.commandline import foveal

Coco = dict[str, list[dict[str, Any]]]
DICE = np.random.default_rng(0)


def photo(path: Path, size: tuple[int, int] = (48, 32), **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(DICE.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path, **options)


def coco(root: Path, spoil: Callable[[Coco], object]) -> None:
    data: Coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    for i in range(12):
        photo(root / "images" / f"{i}.png")
        data["images"].append({"id": i, "file_name": f"{i}.png", "width": 48, "height": 32})
        for category in (1, 2):
            box = [4 * category, 5, 20, 12]
            ids = {"id": 2 * i + category, "image_id": i, "category_id": category}
            data["annotations"].append({**ids, "bbox": box, "area": 240, "iscrowd": 0})
    sound = copy.deepcopy(data)
    spoil(data)
    assert data != sound
    (root / "annotations.json").write_text(json.dumps(data))


def every(**fields: Any) -> Callable[[Coco], object]:
    """Each annotation with these fields."""
    return lambda data: [one.update(fields) for one in data["annotations"]]


def voc_without_names(root: Path) -> None:
    (root / "Annotations").mkdir(parents=True)
    box = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>"
    for i in range(12):
        photo(root / "JPEGImages" / f"{i}.jpg")
        size = "<size><width>48</width><height>32</height><depth>3</depth></size>"
        text = f"<annotation><filename>{i}.jpg</filename>{size}<object>{box}</object></annotation>"
        (root / "Annotations" / f"{i}.xml").write_text(text)


def yolo(root: Path, line: str) -> None:
    for i in range(12):
        photo(root / "images" / f"{i}.png")
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{i}.txt").write_text(line)
    (root / "classes.txt").write_text("a\nb\n")


def masks(root: Path, values: tuple[int, ...], size: tuple[int, int] = (48, 32)) -> None:
    for i in range(12):
        photo(root / "images" / f"{i}.png")
        (root / "masks").mkdir(exist_ok=True)
        ids = np.array(values, np.uint8)[DICE.integers(0, len(values), size[::-1])]
        Image.fromarray(ids).save(root / "masks" / f"{i}.png")
    (root / "classes.txt").write_text("background\na\nb\n")


def turned(root: Path) -> None:
    """Sides as stored, EXIF says turned, and boxes that only fit the image as stored."""
    coco(root, lambda data: [one.update(bbox=[30, 4, 16, 20]) for one in data["annotations"]])
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in (root / "images").iterdir():
        photo(file, exif=exif)


Make = Callable[[Path], object]
STOPS: dict[str, tuple[str, Make, str]] = {
    "every object a crowd": ("object-detection", lambda r: coco(r, every(iscrowd=1)), "nothing to learn"),
    "category ids as words": ("object-detection", lambda r: coco(r, every(category_id="a")), "category_id"),
    "NaN": ("object-detection", lambda r: coco(r, every(bbox=[float("nan"), 5, 20, 12])), "not a number"),
    "no objects": ("object-detection", lambda r: coco(r, lambda d: d["annotations"].clear()), "nothing to learn"),
    "ids twice": (
        "object-detection",
        lambda r: coco(r, lambda d: [one.update(id=0) for one in d["images"]]),
        "image id twice",
    ),
    "a file twice": (
        "object-detection",
        lambda r: coco(r, lambda d: [one.update(file_name="0.png") for one in d["images"]]),
        "image twice",
    ),
    "no class name": ("object-detection", voc_without_names, "no class name"),
    "boxes before the rotation": ("object-detection", turned, "unrotated boxes"),
    "pixels in YOLO": ("object-detection", lambda r: yolo(r, "0 24 16 20 12\n"), "pixels for fractions"),
    "a class beyond the names": ("object-detection", lambda r: yolo(r, "7 .5 .5 .2 .2\n"), "unknown label"),
    "empty label files": ("object-detection", lambda r: yolo(r, ""), "nothing to learn"),
    "three classes as 0, 127, 255": (
        "semantic-segmentation",
        lambda r: masks(r, (0, 127, 255)),
        "class outside the list",
    ),
    "masks of one class": ("semantic-segmentation", lambda r: masks(r, (255,)), "nothing to learn"),
    "masks of another size": ("semantic-segmentation", lambda r: masks(r, (0, 1, 2), (24, 16)), "mask size"),
}


@pytest.mark.parametrize("name", STOPS)
def test_train_stops_before_anything_is_made(name: str, tmp_path: Path) -> None:
    task, make, said = STOPS[name]
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    make(data)
    with pytest.raises(BadData, match=said):
        foveal("train", "--task", task, "--data", data, "--out", run, "--weights", "none")
    assert not run.exists()
    checked, listed, _ = foveal("data", "check", data, "--task", task)
    assert checked in (1, 2)
    assert said in listed or checked == 2


def test_data_without_truth_is_no_negative_answer_but_a_fault() -> None:
    """Exit code 2, not 1 (tests/core/test_cli.py)."""
    assert not issubclass(BadData, cli.NEGATIVE)
