"""Every layout, read back by code that knows nothing of the writer, gives the scenes' own truth."""

import contextlib
import io
import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from foveal.errors import BadOutput, BadRequest, UnknownName
from foveal.synth import STYLES, Scene
from foveal.synth.write import LAYOUTS, Order, write_data_set

COUNT, SIZE = 10, (90, 120)


def order(task: str, style: str, layout: str | None = None, **changes: int) -> Order:
    return Order(task, style, layout, **({"count": COUNT, "image_hw": SIZE} | changes))


def truth(task: str, style: str) -> dict[str, tuple[str, Scene]]:
    """Stem -> (split, scene), drawn anew."""
    return {item.stem: (item.split, item.scene) for item in order(task, style).drawn()}


def pixels(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_every_task_has_a_layout_and_every_layout_writes(tmp_path: Path) -> None:
    for task, layouts in LAYOUTS.items():
        for layout in layouts:
            out = tmp_path / task / layout
            assert write_data_set(order(task, "shapes" if layout != "idmaps" else "nuclei", layout), out) == layout
            assert len(list(out.rglob("*.png"))) in (COUNT, 2 * COUNT)


def test_classification_folders(tmp_path: Path) -> None:
    write_data_set(order("classification", "shapes", "split-folders"), tmp_path / "d")
    for stem, (split, scene) in truth("classification", "shapes").items():
        path = tmp_path / "d" / split / scene.labels[int(scene.class_ids[0])] / f"{stem}.png"
        assert np.array_equal(pixels(path)[:, :, ::-1], scene.rgb)


@pytest.mark.parametrize("style", ["shapes", "blood"])
def test_every_split_holds_every_class_equally_often(style: str) -> None:
    """Six classes and a cycle of ten once met so that three classes were never tested."""
    classes = len(STYLES[style].labels)
    drawn = Order("classification", style, count=10 * classes, image_hw=(32, 32)).drawn()
    counts = Counter((item.split, int(item.scene.class_ids[0])) for item in drawn)
    per_split = {"train": 7, "val": 2, "test": 1}
    assert counts == {(split, k): n for split, n in per_split.items() for k in range(classes)}


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation"])
def test_coco_through_pycocotools(tmp_path: Path, task: str) -> None:
    write_data_set(order(task, "shapes", "coco"), tmp_path / "d")
    expected = truth(task, "shapes")
    for split in ("train", "val", "test"):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(tmp_path / "d" / "annotations" / f"instances_{split}.json"))
        assert {r["file_name"] for r in coco.imgs.values()} == {
            f"{s}.png" for s, (p, _) in expected.items() if p == split
        }
        for image in coco.imgs.values():
            scene = expected[Path(image["file_name"]).stem][1]
            rows = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            boxes = np.array([r["bbox"] for r in rows]).reshape(-1, 4)
            assert np.array_equal(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]), scene.boxes_xyxy)
            assert [coco.cats[r["category_id"]]["name"] for r in rows] == [scene.labels[i] for i in scene.class_ids]
            for i, row in enumerate(rows):
                assert np.array_equal(coco.annToMask(row).astype(bool), scene.mask(i))
                assert row["area"] == scene.mask(i).sum()


def test_voc(tmp_path: Path) -> None:
    write_data_set(order("object-detection", "shapes", "voc"), tmp_path / "d")
    for stem, (split, scene) in truth("object-detection", "shapes").items():
        document = ET.parse(tmp_path / "d" / "Annotations" / f"{stem}.xml").getroot()
        edges = ("xmin", "ymin", "xmax", "ymax")
        boxes = [[float(o.findtext(f"bndbox/{e}")) for e in edges] for o in document.findall("object")]
        assert np.array_equal(np.array(boxes).reshape(-1, 4), scene.boxes_xyxy)
        assert stem in (tmp_path / "d" / "ImageSets" / "Main" / f"{split}.txt").read_text().split()


def test_yolo(tmp_path: Path) -> None:
    write_data_set(order("object-detection", "shapes", "yolo"), tmp_path / "d")
    config = yaml.safe_load((tmp_path / "d" / "data.yaml").read_text())
    for stem, (split, scene) in truth("object-detection", "shapes").items():
        assert (tmp_path / "d" / config[split] / f"{stem}.png").exists()
        rows = np.loadtxt(tmp_path / "d" / "labels" / split / f"{stem}.txt", ndmin=2)
        height, width = scene.image_hw
        x, y, w, h = (rows[:, 1:] * [width, height, width, height]).T
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        assert np.abs(boxes - scene.boxes_xyxy).max() < 0.01
        assert [config["names"][int(i)] for i in rows[:, 0]] == [scene.labels[i] for i in scene.class_ids]


def test_idmaps_and_class_maps(tmp_path: Path) -> None:
    write_data_set(order("instance-segmentation", "nuclei", "idmaps"), tmp_path / "i")
    write_data_set(order("semantic-segmentation", "shapes"), tmp_path / "s")
    for stem, (_, scene) in truth("instance-segmentation", "nuclei").items():
        assert np.array_equal(pixels(tmp_path / "i" / "masks" / f"{stem}.png"), scene.instance_map)
    for stem, (split, scene) in truth("semantic-segmentation", "shapes").items():
        assert np.array_equal(pixels(tmp_path / "s" / "masks" / f"{stem}.png"), scene.class_map)
        assert stem in (tmp_path / "s" / f"{split}.txt").read_text().split()
    assert (tmp_path / "s" / "classes.txt").read_text().split() == list(scene.map_labels)


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    write_data_set(order("classification", "shapes", count=3), tmp_path / "small")
    write_data_set(order("classification", "shapes", count=6), tmp_path / "large")
    for path in (tmp_path / "small").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "large" / path.relative_to(tmp_path / "small")).read_bytes()


def test_nonsense_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(BadOutput):
        write_data_set(order("classification", "shapes"), tmp_path / "there")
    with pytest.raises(UnknownName, match="choices: coco, voc, yolo"):
        write_data_set(order("object-detection", "blood", "masks"), tmp_path / "x")
    with pytest.raises(BadRequest, match="holds one class"):
        write_data_set(order("instance-segmentation", "blood", "idmaps"), tmp_path / "x")
    with pytest.raises(BadRequest, match="no images of single things"):
        write_data_set(order("classification", "aerial"), tmp_path / "x")
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_coco_documents_are_plain_json(tmp_path: Path) -> None:
    write_data_set(order("object-detection", "shapes", "coco", count=1), tmp_path / "d")
    document = json.loads((tmp_path / "d" / "annotations" / "instances_train.json").read_text())
    assert [c["id"] for c in document["categories"]] == [1, 2, 3, 4, 5, 6]
