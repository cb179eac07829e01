"""Masks as tools write them: folders, names, encodings, lists of classes; every one is read to the drawn truth."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.models.readers import check_data, load_data
from foveal.models.reading.reader import Reading
from foveal.models.segmentation.layouts import READER, LabelMap
from foveal.models.segmentation.recipe import SegmentationRecipe
from tests.helpers.images import stored_turned

NAMES = ("background", "roof", "window")
COLOURS = ((0, 0, 0), (255, 0, 0), (10, 200, 250))
HW = (24, 36)
COUNT = 8


def drawn(count: int = COUNT, classes: int = 3) -> list[np.ndarray]:
    """Maps of class ids, no two the same, each with all classes."""
    rng = np.random.default_rng(0)
    maps = []
    for _ in range(count):
        ids = np.zeros(HW, np.uint8)
        for class_id in range(1, classes):
            y, x = rng.integers(0, 12), rng.integers(0, 15) + 18 * (class_id == 2)
            ids[y : y + 9, x : x + 8] = class_id
        maps.append(ids)
    return maps


MAPS = drawn()


def save_image(path: Path, i: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(i).integers(0, 255, (*HW, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def save_mask(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)).save(path)


def read(root: Path) -> Reading[LabelMap]:
    found = READER.read(root, SegmentationRecipe())
    assert found is not None
    return found


def expect_maps(root: Path, maps: Sequence[np.ndarray] = MAPS, names: Sequence[str] = NAMES) -> Reading[LabelMap]:
    """Samples are in the order of the maps."""
    reading = read(root)
    assert reading.labels == tuple(names)
    stops = [one for one in READER.findings(reading, SegmentationRecipe()) if one.kind != "mapped"]
    assert stops == []
    assert len(reading.samples) == len(maps)
    by_number = sorted(reading.samples, key=lambda s: "".join(c for c in s.path.stem if c.isdigit()))
    for sample, ids in zip(by_number, maps, strict=True):
        assert np.array_equal(sample.truth.read(), ids)
        assert sample.truth.present() == set(np.unique(ids).tolist()) - {IGNORE}
    return reading


SPLIT = ("train", "train", "train", "train", "train", "val", "val", "test")
WHERE: dict[str, Callable[[int], tuple[str, str]]] = {
    "images and masks": lambda i: (f"images/{i}.jpg", f"masks/{i}.png"),
    "images and labels": lambda i: (f"Images/{i}.JPG", f"Labels/{i}.png"),
    "the name with its suffix": lambda i: (f"img/{i}.jpg", f"annotations/{i}.jpg.png"),
    "VOC": lambda i: (f"VOC/JPEGImages/{i}.jpg", f"VOC/SegmentationClass/{i}.png"),
    "a split inside": lambda i: (f"images/{SPLIT[i]}/{i}.jpg", f"masks/{SPLIT[i]}/{i}.png"),
    "a split outside": lambda i: (f"{SPLIT[i]}/images/{i}.jpg", f"{SPLIT[i]}/masks/{i}.png"),
    "the same names in each split": lambda i: (f"images/{SPLIT[i]}/{i}.jpg", f"gt/{SPLIT[i]}/{i}_gt.png"),
    "CamVid": lambda i: (f"{SPLIT[i]}/{i}.png", f"{SPLIT[i]}_labels/{i}_L.png"),
    "SegNet": lambda i: (f"{SPLIT[i]}/{i}.png", f"{SPLIT[i]}annot/{i}.png"),
    "Kaggle": lambda i: (f"{SPLIT[i]}_images/{i}.jpg", f"{SPLIT[i]}_masks/{i}_mask.png"),
    "Roboflow": lambda i: (f"{SPLIT[i]}/{i}_png.rf.ab{i}.jpg", f"{SPLIT[i]}/{i}_png.rf.ab{i}_mask.png"),
    "DeepGlobe": lambda i: (f"train/{i}_sat.jpg", f"train/{i}_mask.png"),
    "masks beside": lambda i: (f"{i}.jpg", f"{i}-mask.png"),
    "words first": lambda i: (f"images/image_{i}.jpg", f"masks/mask_{i}.png"),
    "only images have splits": lambda i: (f"images/{SPLIT[i]}/{i}.jpg", f"masks/{i}.png"),
    "bmp": lambda i: (f"images/{i}.png", f"masks/{i}.bmp"),
    "tif": lambda i: (f"images/{i}.tif", f"masks/{i}_seg.tif"),
    "gif": lambda i: (f"images/{i}.png", f"masks/{i}_mask.gif"),
}


@pytest.mark.parametrize("where", WHERE)
def test_where_masks_lie(tmp_path: Path, where: str) -> None:
    for i, ids in enumerate(MAPS):
        image, mask = WHERE[where](i)
        save_image(tmp_path / image, i)
        save_mask(tmp_path / mask, ids)
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    reading = expect_maps(tmp_path)
    splits = "/".join(WHERE[where](7)).count("test")
    assert (set(reading.split_of.values()) == {"train", "val", "test"}) == bool(splits)
    for sample in reading.samples if splits else ():
        assert (
            reading.split_of[sample.name]
            == SPLIT[int("".join(c for c in sample.path.stem.split("_")[0] if c.isdigit()))]
        )


def put(root: Path, encode: Callable[[np.ndarray], np.ndarray], maps: Sequence[np.ndarray] = MAPS) -> Path:
    for i, ids in enumerate(maps):
        save_image(root / "images" / f"{i}.jpg", i)
        save_mask(root / "masks" / f"{i}.png", encode(ids))
    return root


def colours(ids: np.ndarray) -> np.ndarray:
    return np.array(COLOURS, np.uint8)[ids]


LISTS = {
    "classes.txt": "\ufeffbackground\r\nroof\r\nwindow\r\n",
    "labels.txt": "0 background\n1 roof\n2 window\n",
    "_classes.csv": "Pixel Value, Class\n0, background\n1, roof\n2, window\n",
    "classes.json": '{"0": "background", "1": "roof", "2": "window"}',
    "label_map.json": '{"background": 0, "roof": 1, "window": 2}',
    "labels.json": '["background", "roof", "window"]',
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:::\nroof:::\nwindow:::\n",
}
TABLES = {
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroof:255,0,0::\nwindow:10,200,250::\n",
    "class_dict.csv": "name,r,g,b\nbackground,0,0,0\nroof,255,0,0\nwindow,10,200,250\n",
    "label_colors.txt": "0 0 0\tbackground\n255 0 0\troof\n10 200 250\twindow\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, lambda ids: ids)
    (tmp_path / name).write_text(LISTS[name], encoding="utf-8")
    expect_maps(tmp_path)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_tables_of_colours(tmp_path: Path, name: str, mode: str) -> None:
    put(tmp_path, colours)
    for path in (tmp_path / "masks").iterdir():
        Image.open(path).convert(mode, palette=Image.Palette.ADAPTIVE).save(path)
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    expect_maps(tmp_path)


def test_a_colour_outside_the_table_stops(tmp_path: Path) -> None:
    put(tmp_path, lambda ids: colours(ids) + (ids == 1)[..., None].astype(np.uint8))
    (tmp_path / "class_dict.csv").write_text(TABLES["class_dict.csv"])
    with pytest.raises(BadData, match="expected one of 3 colours, got #000101"):
        load_data(SegmentationRecipe(), tmp_path)


def test_colours_without_a_table_are_refused(tmp_path: Path) -> None:
    put(tmp_path, colours)
    with pytest.raises(BadData, match=r"values #000000, #0ac8fa, #ff0000: expected classes\.txt"):
        load_data(SegmentationRecipe(), tmp_path)


ENCODINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "grey": lambda ids: ids,
    "16 bit": lambda ids: ids.astype(np.uint16),
    "grey as RGB": lambda ids: np.repeat(ids[..., None], 3, 2),
    "255 stays ignored": lambda ids: np.where(ids == 1, np.uint8(IGNORE), ids),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    put(tmp_path, ENCODINGS[encoding])
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    if encoding == "255 stays ignored":
        assert np.array_equal(read(tmp_path).samples[0].truth.read() == IGNORE, MAPS[0] == 1)
    else:
        expect_maps(tmp_path)


TWO = drawn(classes=2)
BINARY: dict[str, tuple[Callable[[np.ndarray], np.ndarray], bool]] = {  # encoding, whether it is said
    "0 and 1": (lambda ids: ids, False),
    "1 bit": (lambda ids: ids.astype(bool), False),
    "0 and 255": (lambda ids: ids * np.uint8(255), True),
    "0 and 65535": (lambda ids: ids.astype(np.uint16) * np.uint16(65535), True),
    "black and white": (lambda ids: np.repeat(ids[..., None] * np.uint8(255), 3, 2), True),
}


@pytest.mark.parametrize("encoding", BINARY)
@pytest.mark.parametrize("listed", [True, False])
def test_two_classes(tmp_path: Path, encoding: str, listed: bool) -> None:
    encode, mapped = BINARY[encoding]
    put(tmp_path, encode, TWO)
    if listed:
        (tmp_path / "classes.txt").write_text("sky\nkite\n")
    reading = expect_maps(tmp_path, TWO, ("sky", "kite") if listed else ("background", "object"))
    assert [one.detail for one in reading.findings] == (
        [
            f"{encoding.replace('black', '0').replace('white', '255')} in {COUNT} masks: "
            f"{'65535' if '65535' in encoding else '255'} is read as class {reading.labels[1]!r}, not as ignored"
        ]
        if mapped
        else []
    )
    assert bool(reading.notes) == (not listed)


def test_blended_edges_are_refused_with_their_values(tmp_path: Path) -> None:
    put(tmp_path, lambda ids: np.asarray(Image.fromarray(ids * np.uint8(255)).resize((18, 12)).resize(HW[::-1])), TWO)
    (tmp_path / "classes.txt").write_text("sky\nkite\n")
    with pytest.raises(BadData, match=r"expected ids below 2 \(or 255\), got .*resized smoothly or saved as JPEG"):
        load_data(SegmentationRecipe(), tmp_path)


def test_all_ignored_and_one_class_are_nothing_to_learn(tmp_path: Path) -> None:
    put(tmp_path / "a", lambda ids: np.full_like(ids, IGNORE))
    put(tmp_path / "b", lambda ids: np.where(ids == 0, 0, IGNORE).astype(np.uint8))
    for name in "ab":
        (tmp_path / name / "classes.txt").write_text("\n".join(NAMES))
        with pytest.raises(BadData, match="nothing to learn"):
            load_data(SegmentationRecipe(), tmp_path / name)


def test_a_turned_image_beside_an_unturned_mask_names_exif(tmp_path: Path) -> None:
    put(tmp_path, lambda ids: ids)
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    upright = np.random.default_rng(0).integers(0, 255, (*HW[::-1], 3), dtype=np.uint8)
    (tmp_path / "images" / "0.jpg").write_bytes(stored_turned(upright, 6, "JPEG"))
    with pytest.raises(BadData, match=r"mask size: 1 .*\n.*turned by its EXIF orientation 6 and the mask is not"):
        load_data(SegmentationRecipe(), tmp_path)


def test_masks_and_images_that_lack_the_other(tmp_path: Path) -> None:
    put(tmp_path, lambda ids: ids)
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    (tmp_path / "images" / "1.jpg").unlink()
    (tmp_path / "masks" / "2.png").unlink()
    save_image(tmp_path / "previews" / "0.jpg", 0)
    shutil.copy(tmp_path / "masks" / "3.png", tmp_path / "masks" / "3_mask.png")
    found = {one.kind: one.name for one in check_data(tmp_path, names=5).found}
    assert found == {
        "unknown image": "masks/1.png",
        "missing mask": "images/2.jpg",
        "left out": "previews/0.jpg",
        "unreadable annotation": "images/3.jpg",
    }


@pytest.mark.parametrize("place", ["", "ImageSets/Segmentation", "splits"])
def test_lists_of_splits(tmp_path: Path, place: str) -> None:
    put(tmp_path, lambda ids: ids)
    (tmp_path / "labelmap.txt").write_text(TABLES["labelmap.txt"])
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "train.txt").write_text("images/0.jpg masks/0.png\nimages/1.jpg masks/1.png\n")
    (tmp_path / place / "Valid.txt").write_text("2.jpg\n3.jpg\n")
    (tmp_path / place / "trainval.txt").write_text("0\n1\n2\n3\n4\n")
    (tmp_path / place / "test.txt").write_text("\ufeff5\n6\n7\n")
    splits = [expect_maps(tmp_path).split_of[f"images/{i}.jpg"] for i in range(COUNT)]
    assert splits == ["train", "train", "val", "val", "trainval", "test", "test", "test"]


def test_cityscapes(tmp_path: Path) -> None:
    ids = np.array([0, 7, 26], np.uint8)  # unlabelled, road, car
    for i, drawn_ids in enumerate(MAPS):
        place = f"{SPLIT[i]}/city/city_{i:06}"
        save_image(tmp_path / f"leftImg8bit/{place}_leftImg8bit.png", i)
        save_mask(tmp_path / f"gtFine/{place}_gtFine_labelIds.png", ids[drawn_ids])
        save_mask(tmp_path / f"gtFine/{place}_gtFine_color.png", colours(drawn_ids))
        save_mask(tmp_path / f"gtFine/{place}_gtFine_instanceIds.png", ids[drawn_ids].astype(np.uint16) * 1000)
    reading = read(tmp_path)
    assert (len(reading.labels), reading.labels[13]) == (19, "car")
    lookup = np.array([IGNORE, 0, 13], np.uint8)
    assert np.array_equal(reading.samples[-1].truth.read(), lookup[MAPS[6]])
    assert set(reading.split_of.values()) == {"train", "val", "test"}


def test_pascal_voc(tmp_path: Path) -> None:
    """The development kit's palette, without a list of classes, most images without a mask."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for i, ids in enumerate(MAPS):
        save_image(root / "JPEGImages" / f"{i}.jpg", i)
        if i < 4:
            mask = Image.fromarray(np.where(ids == 2, np.uint8(IGNORE), ids), "P")
            mask.putpalette([0, 0, 0, 128, 0, 0])
            (root / "SegmentationClass").mkdir(exist_ok=True)
            mask.save(root / "SegmentationClass" / f"{i}.png")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2\n3\n")
    (root / "Annotations").mkdir()
    size = f"<size><width>{HW[1]}</width><height>{HW[0]}</height></size>"
    box = "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
    for i in range(COUNT):
        text = f"<annotation><filename>{i}.jpg</filename>{size}{box}</annotation>"
        (root / "Annotations" / f"{i}.xml").write_text(text)
    reading = read(tmp_path)
    assert reading.labels[:2] == ("background", "aeroplane")
    assert len(reading.samples) == 4
    assert check_data(tmp_path, names=5).task == "object-detection"


def test_ade20k(tmp_path: Path) -> None:
    for i, ids in enumerate(MAPS):
        split = "training" if i < 6 else "validation"
        save_image(tmp_path / "images" / split / f"{i}.jpg", i)
        save_mask(tmp_path / "annotations" / split / f"{i}.png", ids)
    (tmp_path / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t1\t1\t1\twall\n2\t0\t1\t1\t0\tdoor\n"
    )
    reading = read(tmp_path)
    assert reading.labels == ("wall", "door")
    assert np.array_equal(reading.samples[0].truth.read(), np.array([IGNORE, 0, 1], np.uint8)[MAPS[0]])


def test_instance_ids_are_not_taken_for_classes(tmp_path: Path) -> None:
    put(tmp_path, lambda ids: ids)
    assert check_data(tmp_path, names=5).task == "object-detection"
    with pytest.raises(BadData, match=r"masks with the values 0, 1, 2: expected classes\.txt"):
        check_data(tmp_path, names=5, task="semantic-segmentation")


def panoptic(root: Path) -> Path:
    """Two splits in COCO's own folders; segment 0 is void."""
    categories = [{"id": 11, "name": "roof", "isthing": 1}, {"id": 40, "name": "window", "isthing": 0}]
    numbers = {1: (7, 11), 2: (70_000, 40)}  # class of MAPS -> segment, category
    for split in ("train2017", "val2017"):
        images, rows = [], []
        for i, ids in enumerate(MAPS):
            if (i < 6) != (split == "train2017"):
                continue
            save_image(root / split / f"{i}.jpg", i)
            segments = np.zeros(HW, np.int64)
            for class_id, (segment, _) in numbers.items():
                segments[ids == class_id] = segment
            rgb = np.stack([segments % 256, segments // 256 % 256, segments // 65536], -1).astype(np.uint8)
            save_mask(root / "annotations" / f"panoptic_{split}" / f"{i}.png", rgb)
            images.append({"id": i, "file_name": f"{i}.jpg", "width": HW[1], "height": HW[0]})
            info = [{"id": segment, "category_id": category, "iscrowd": 0} for segment, category in numbers.values()]
            rows.append({"image_id": i, "file_name": f"{i}.png", "segments_info": info})
        document = {"images": images, "annotations": rows, "categories": categories}
        (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(document))
    return root


def test_coco_panoptic(tmp_path: Path) -> None:
    reading = read(panoptic(tmp_path))
    assert reading.layout == "COCO panoptic"
    assert reading.labels == ("roof", "window")
    for sample, ids in zip(reading.samples, MAPS, strict=True):
        assert np.array_equal(sample.truth.read(), np.array([IGNORE, 0, 1], np.uint8)[ids])
    assert [reading.split_of[s.name] for s in reading.samples] == ["train"] * 6 + ["val"] * 2
    assert check_data(tmp_path, names=5).task == "semantic-segmentation"
    path = tmp_path / "annotations" / "panoptic_val2017" / "7.png"
    save_mask(path, np.full((*HW, 3), 9, np.uint8))
    assert "ids that are in no segments_info" in check_data(tmp_path, names=5).found[0].detail
    path.unlink()
    assert check_data(tmp_path, names=5).found[0].kind == "missing mask"
