"""Layouts of labelled images: the same data in every format, splits, and what the check finds."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from foveal.errors import BadData
from foveal.models.data.dataset import DataSet
from foveal.models.detection.layouts.read import DETECTION, appearance_of
from foveal.models.detection.layouts.truth import bitmaps
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.readers import load_data
from foveal.models.reading.findings import Finding, summary
from foveal.models.reading.reader import Reading
from foveal.synth.write import Order, write_data_set


def load_objects(root: Path, recipe: DetectionRecipe) -> DataSet:
    return load_data(recipe, root)


def read_objects(root: Path) -> Reading:
    reading = DETECTION.read(root, DetectionRecipe())
    assert reading is not None
    return reading


def check(reading: Reading) -> list[Finding]:
    return DETECTION.findings(reading, DetectionRecipe())


def write(folder: Path, layout: str, *, task: str = "object-detection", style: str = "blood", count: int = 10) -> Path:
    write_data_set(
        Order(task=task, style=style, count=count, seed=3, image_hw=(96, 128), layout=layout), folder / layout
    )
    return folder / layout


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("copies")
    return {layout: write(folder, layout) for layout in ("voc", "coco", "yolo")}


def test_three_copies_of_one_data_set_give_equal_boxes_labels_and_splits(copies: dict[str, Path]) -> None:
    sets = {name: load_objects(path, DetectionRecipe()) for name, path in copies.items()}
    objects = 0
    for split in ("train", "val", "test"):
        by_stem = {name: {s.path.stem: s.truth for s in one.splits[split]} for name, one in sets.items()}
        assert by_stem["voc"].keys() == by_stem["coco"].keys() == by_stem["yolo"].keys()
        assert by_stem["voc"]
        for stem, want in by_stem["voc"].items():
            for name in ("coco", "yolo"):
                got = by_stem[name][stem]
                np.testing.assert_allclose(got.boxes_xyxy, want.boxes_xyxy, atol=0.01)
                words = [[sets[n].labels[i] for i in t.class_ids] for n, t in ((name, got), ("voc", want))]
                assert words[0] == words[1]
                assert got.image_hw == want.image_hw
            objects += len(want)
    assert objects > 20
    assert {one.layout for one in sets.values()} == {"Pascal VOC", "COCO JSON", "YOLO txt"}
    assert all(one.notes[0].startswith(one.layout) for one in sets.values())
    assert all(any(note.startswith("splits of the data set: train") for note in one.notes) for one in sets.values())


def test_fingerprint_follows_boxes(copies: dict[str, Path], tmp_path: Path) -> None:
    again = write(tmp_path, "voc")
    recipe = DetectionRecipe()
    before = load_objects(again, recipe).fingerprint
    assert before == load_objects(copies["voc"], recipe).fingerprint
    path = next((again / "Annotations").iterdir())
    root = ET.parse(path)
    edge = root.find("object/bndbox/xmax")
    assert edge is not None
    edge.text = f"{float(str(edge.text)) - 1:g}"
    root.write(path)
    assert load_objects(again, recipe).fingerprint != before


def test_id_maps_and_coco_masks_are_the_same_instances(tmp_path: Path) -> None:
    maps = write(tmp_path, "idmaps", task="instance-segmentation", style="nuclei")
    coco = write(tmp_path, "coco", task="instance-segmentation", style="nuclei")
    recipe = InstanceRecipe(val_fraction=0.25, test_fraction=0.25)
    of_maps = {s.path.stem: s.truth for s in read_objects(maps).samples}
    of_coco = {s.path.stem: s.truth for s in read_objects(coco).samples}
    assert of_maps.keys() == of_coco.keys()
    for stem, truth in of_maps.items():
        ids = cv2.imread(str(maps / "masks" / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(bitmaps(truth).sum(0), ids > 0)
        ours, theirs = (sorted(map(tuple, t.boxes_xyxy.tolist())) for t in (truth, of_coco[stem]))
        visible = [box for box in theirs if box in ours]
        assert len(visible) >= 0.9 * len(ours) > 0  # an object drawn over in part keeps its full mask in COCO
    assert load_objects(maps, recipe).splits.counts() == {"train": 5, "val": 3, "test": 2}


def coco_document(**changes: object) -> dict[str, object]:
    annotation = {"id": 1, "image_id": 7, "category_id": 5, "bbox": [10, 10, 20, 20], "area": 300, "iscrowd": 0}
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": [annotation],
        "categories": [{"id": 9, "name": "later"}, {"id": 5, "name": "first"}],
        **changes,
    }


def coco_folder(folder: Path, document: dict[str, object]) -> Path:
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((48, 64, 3), np.uint8))
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


def test_coco_masks_in_all_three_writings(tmp_path: Path) -> None:
    bitmap = np.zeros((48, 64), np.uint8)
    bitmap[10:30, 10:30] = 1
    compressed = coco_mask.encode(np.asfortranarray(bitmap))
    column = bitmap.ravel(order="F")
    starts = np.flatnonzero(np.diff(np.concatenate(([0], column, [0])))).tolist()
    runs = np.diff([0, *starts, len(column)]).tolist()
    writings = [
        [[10, 10, 30, 10, 30, 30, 10, 30]],
        {"size": [48, 64], "counts": runs},
        {"size": [48, 64], "counts": compressed["counts"].decode()},
    ]
    for i, writing in enumerate(writings):
        rows = coco_document()["annotations"]
        assert isinstance(rows, list)
        rows[0]["segmentation"] = writing
        reading = read_objects(coco_folder(tmp_path / str(i), coco_document(annotations=rows)))
        truth = reading.samples[0].truth
        np.testing.assert_array_equal(bitmaps(truth)[0], bitmap)
        assert reading.labels == ("first", "later")
        assert truth.class_ids.tolist() == [0]
        assert truth.boxes_xyxy.tolist() == [[10, 10, 30, 30]]


def test_crowds_and_difficult_objects_are_marked(tmp_path: Path, copies: dict[str, Path]) -> None:
    rows = coco_document()["annotations"]
    assert isinstance(rows, list)
    crowd = coco_document(annotations=[{**rows[0], "iscrowd": 1}])
    assert read_objects(coco_folder(tmp_path / "coco", crowd)).samples[0].truth.crowd.tolist() == [True]
    voc = write(tmp_path, "voc", count=4)
    path = next((voc / "Annotations").iterdir())
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1", 1))
    assert sum(s.truth.crowd.sum() for s in read_objects(voc).samples) == 1


def test_yolo_outlines_become_boxes_and_masks(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((50, 100, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "images" / "empty.png"), np.zeros((50, 100, 3), np.uint8))
    (tmp_path / "labels" / "a.txt").write_text("1 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    reading = read_objects(tmp_path)
    first, empty = (sample.truth for sample in reading.samples)
    np.testing.assert_allclose(first.boxes_xyxy, [[10, 10, 50, 40]])
    assert bitmaps(first).sum() == 40 * 30
    assert reading.labels == ("cat", "dog")
    assert len(empty) == 0


def test_what_cannot_be_read_is_named(tmp_path: Path, copies: dict[str, Path]) -> None:
    with pytest.raises(BadData, match="expected one of COCO JSON, Pascal VOC"):
        load_objects(tmp_path, DetectionRecipe())
    missing = coco_folder(tmp_path / "missing", coco_document())
    (missing / "images" / "a.png").unlink()
    with pytest.raises(BadData, match=r"missing image: 1 .*\n.*a\.png"):
        load_objects(missing, DetectionRecipe())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.json").write_text("{")
    with pytest.raises(BadData, match=r"bad\.json: expected JSON"):
        load_objects(tmp_path / "bad", DetectionRecipe())


def test_check_finds_every_kind_of_fault_and_nothing_in_clean_data(tmp_path: Path, copies: dict[str, Path]) -> None:
    assert check(read_objects(copies["voc"])) == []
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    photos = {name: rng.integers(0, 255, (48, 64, 3), np.uint8) for name in ("a", "b", "c")}
    for name, pixels in photos.items():
        cv2.imwrite(str(folder / f"{name}.png"), cv2.GaussianBlur(pixels, (0, 0), 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photos["b"]).save(folder / "turned.jpg", exif=exif)
    cv2.imwrite(str(folder / "copy.png"), cv2.imread(str(folder / "a.png")))
    (folder / "broken.png").write_bytes((folder / "c.png").read_bytes()[:200])
    boxes = [[5, 5, 0, 9], [5, 5, 0.5, 9], [50, 5, 40, 9], [10, 20, 20, 20], [10, 20, 20, 20]]
    annotations = [{"id": i, "image_id": 1, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)]
    annotations += [{"id": 90, "image_id": 1, "category_id": 77, "bbox": [1, 1, 5, 5]}]
    annotations += [{"id": 91, "image_id": 1234, "category_id": 1, "bbox": [1, 1, 5, 5]}]
    names = {"train": ["a.png", "c.png", "turned.jpg", "broken.png"], "val": ["copy.png", "b.png"]}
    number = 0
    for split, files in names.items():
        images = []
        for name in files:
            number += 1
            size = {"width": 65 if name == "b.png" else 64, "height": 48}
            images.append({"id": number, "file_name": name, **size})
        document = {"images": images, "annotations": annotations if split == "train" else []}
        categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "background"}]
        (tmp_path / f"{split}.json").write_text(json.dumps({**document, "categories": categories}))
    findings = check(read_objects(tmp_path))
    kinds = {(one.kind, one.name.rpartition("/")[2]) for one in findings}
    assert kinds == {
        ("degenerate box", "train.json, annotation 0"),
        ("tiny box", "train.json, annotation 1"),
        ("outside box", "train.json, annotation 2"),
        ("duplicate box", "train.json, annotation 4"),
        ("unknown label", "train.json, annotation 90"),
        ("unknown image", "train.json, annotation 91"),
        ("label 0", "-"),
        ("empty label", "-"),
        ("EXIF rotation", "turned.jpg"),
        ("wrong size", "b.png"),
        ("unreadable image", "broken.png"),
        ("near-duplicate", "a.png"),
    }
    text = "\n".join(summary(findings))
    assert "near-duplicate: 1 (almost the same image in two splits)" in text
    assert "images/a.png: train; images/copy.png in val" in text


def test_looks_are_spread_over_the_splits(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    colours = {"dark": (10, 10, 12), "light": (200, 150, 230), "warm": (230, 150, 160)}
    for name, rgb in colours.items():
        for i in range(10):
            pixels = np.full((16, 16, 3), rgb[::-1], np.uint8)
            cv2.imwrite(str(tmp_path / "images" / f"{name}{i}.png"), pixels)
            ids = np.zeros((16, 16), np.uint16)
            ids[2:8, 2:8] = 300
            cv2.imwrite(str(tmp_path / "masks" / f"{name}{i}.png"), ids)
    recipe = InstanceRecipe(stratify_by_appearance=True, val_fraction=0.2, test_fraction=0.2)
    data = load_objects(tmp_path, recipe)
    for split, each in (("train", 6), ("val", 2), ("test", 2)):
        looks = [appearance_of(sample) for sample in data.splits[split]]
        assert sorted(looks) == sorted([f"{look} 16x16" for look in ("dark", "blue", "red")] * each)
    again = load_objects(tmp_path, recipe).splits
    assert all([s.name for s in again[n]] == [s.name for s in data.splits[n]] for n in ("train", "val", "test"))
