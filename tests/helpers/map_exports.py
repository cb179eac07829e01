"""Class folders, tables of labels, masks and id maps as tools write them (`MAPS`), for tests of the readers."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

CLASSES = ("background", "road", "roof")
COLOURS = ((0, 0, 0), (128, 64, 128), (70, 70, 70))  # RGB
SPLITS = {"train": ("001", "002", "003"), "val": ("004",)}
EVERY = tuple((split, stem) for split, stems in SPLITS.items() for stem in stems)


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(int.from_bytes(str(path)[-9:].encode())).integers(0, 255, (24, 32, 3), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def ids(stem: str) -> npt.NDArray[np.uint8]:
    """(24, 32) classes of an image: all three."""
    drawn = np.zeros((24, 32), np.uint8)
    drawn[2:12, 3 : 10 + int(stem)] = 1
    drawn[14:20, 5:25] = 2
    return drawn


def mask(path: Path, values: npt.NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())


def coloured(stem: str) -> npt.NDArray[np.generic]:
    """(24, 32, 3) BGR, as OpenCV writes."""
    return np.array(COLOURS, np.uint8)[ids(stem)][:, :, ::-1]


def class_folders(root: Path) -> None:
    for label in ("cat", "dog"):
        for stem in ("001", "002", "003", "004"):
            image(root / label / f"{label}-{stem}.jpg")


def split_folders(root: Path) -> None:
    for split in ("train", "valid", "test"):
        for label in ("cat", "dog"):
            for stem in ("001", "002"):
                image(root / split / label / f"{label}-{split}-{stem}.jpg")


def table(root: Path) -> None:
    rows = ["filename,label"]
    for number in range(8):
        image(root / "images" / f"{number}.jpg")
        rows.append(f"{number}.jpg,{('cat', 'dog')[number % 2]}")
    (root / "labels.csv").write_text("\n".join(rows))


def masks(root: Path) -> None:
    for _, stem in EVERY:
        image(root / "images" / f"{stem}.jpg")
        mask(root / "masks" / f"{stem}.png", ids(stem))
    (root / "classes.txt").write_text("\n".join(CLASSES))
    for split, stems in SPLITS.items():
        (root / f"{split}.txt").write_text("\n".join(stems))


def masks_by_split(root: Path) -> None:
    for split, stem in EVERY:
        image(root / split / "images" / f"{stem}.jpg")
        mask(root / split / "masks" / f"{stem}.png", ids(stem))
    (root / "classes.txt").write_text("\n".join(CLASSES))


def masks_beside(root: Path) -> None:
    """Roboflow's semantic segmentation masks."""
    for split, stem in EVERY:
        image(root / split / f"{stem}.jpg")
        mask(root / split / f"{stem}_mask.png", ids(stem))
        rows = [f"{i}, {name}" for i, name in enumerate(CLASSES)]
        (root / split / "_classes.csv").write_text("\n".join(["Pixel Value, Class", *rows]))


def cvat_masks(root: Path) -> None:
    for _, stem in EVERY:
        image(root / "JPEGImages" / f"{stem}.jpg")
        mask(root / "SegmentationClass" / f"{stem}.png", coloured(stem))
    rows = [f"{name}:{','.join(map(str, rgb))}::" for name, rgb in zip(CLASSES, COLOURS, strict=True)]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *rows]))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, stems in SPLITS.items():
        (lists / f"{split}.txt").write_text("\n".join(stems))


def camvid(root: Path) -> None:
    for split, stem in EVERY:
        image(root / split / f"{stem}.png")
        mask(root / f"{split}_labels" / f"{stem}_L.png", coloured(stem))
    rows = [f"{name},{','.join(map(str, rgb))}" for name, rgb in zip(CLASSES, COLOURS, strict=True)]
    (root / "class_dict.csv").write_text("\n".join(["name,r,g,b", *rows]))


def two_values(root: Path) -> None:
    for _, stem in EVERY:
        image(root / "images" / f"{stem}.jpg")
        mask(root / "masks" / f"{stem}.png", (ids(stem) > 0).astype(np.uint8) * 255)
    (root / "classes.txt").write_text("background\nobject")


def panoptic(root: Path) -> None:
    for split, stems in SPLITS.items():
        images, annotations = [], []
        for number, stem in enumerate(stems):
            image(root / f"{split}2017" / f"{stem}.jpg")
            segment_ids = ids(stem).astype(np.uint32) * 1000 + 7
            rgb = np.stack([segment_ids & 255, segment_ids >> 8 & 255, segment_ids >> 16], axis=2).astype(np.uint8)
            mask(root / "annotations" / f"panoptic_{split}2017" / f"{stem}.png", rgb[:, :, ::-1])
            images.append({"id": number, "file_name": f"{stem}.jpg", "height": 24, "width": 32})
            segments = [{"id": i * 1000 + 7, "category_id": i + 1, "iscrowd": 0} for i in range(len(CLASSES))]
            annotations.append({"image_id": number, "file_name": f"{stem}.png", "segments_info": segments})
        categories = [{"id": i + 1, "name": name, "isthing": 0} for i, name in enumerate(CLASSES)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"panoptic_{split}2017.json").write_text(json.dumps(document))


def instance_ids(root: Path) -> None:
    for _, stem in EVERY:
        image(root / "images" / f"{stem}.jpg")
        mask(root / "masks" / f"{stem}.png", ids(stem).astype(np.uint16) * 300)


Writer = Callable[[Path], None]
MAPS: dict[str, tuple[Writer, str, str]] = {  # writer, task, the layout's name
    "A folder a class": (class_folders, "classification", "one folder a class"),
    "Splits of folders": (split_folders, "classification", "folders of splits with one folder a class"),
    "A table of labels": (table, "classification", "a table of file names and labels"),
    "Masks of class ids": (masks, "semantic-segmentation", "images and masks of class ids"),
    "Masks in splits": (masks_by_split, "semantic-segmentation", "images and masks of class ids"),
    "Roboflow masks": (masks_beside, "semantic-segmentation", "images and masks of class ids"),
    "CVAT and VOC masks": (cvat_masks, "semantic-segmentation", "images and masks of class ids"),
    "CamVid masks": (camvid, "semantic-segmentation", "images and masks of class ids"),
    "Masks of 0 and 255": (two_values, "semantic-segmentation", "images and masks of class ids"),
    "COCO panoptic": (panoptic, "semantic-segmentation", "COCO panoptic"),
    "Instance-id maps": (instance_ids, "instance-segmentation", "instance-id maps"),
}
