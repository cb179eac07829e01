"""One small data set of labelled boxes as seventeen tools would write it (`TOOLS`), for tests of the readers.

Each writer gets a `Habits`: what else a tool does to names and files. Boxes are whole pixels, so that every layout can
hold them exactly.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Box = tuple[str, int, int, int, int]  # label, x1, y1, x2, y2
LABELS = ("cat", "dog")


@dataclass(frozen=True)
class Labelled:
    """An image and its boxes."""

    stem: str
    split: str
    image_hw: tuple[int, int]
    boxes: tuple[Box, ...]


@dataclass
class Habits:
    """How names and texts are written."""

    split_names: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "val": "val"})
    bom: bool = False
    backslashes: bool = False  # in every stated path, and with a folder of the tool's own machine before it
    decomposed: bool = False  # file names on disk, as macOS writes them; stated names stay composed
    files: list[Path] = field(default_factory=list)

    def split(self, item: Labelled) -> str:
        return self.split_names[item.split]

    def stated(self, path: str) -> str:
        return "C:\\work\\" + path.replace("/", "\\") if self.backslashes else path

    def text(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8-sig" if self.bom else "utf-8")

    def json(self, path: Path, document: Any) -> None:
        self.text(path, json.dumps(document, ensure_ascii=False))

    def image(self, folder: Path, item: Labelled) -> str:
        """Draw the image; its file name."""
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(item.stem) + item.image_hw[0]).integers(
            0, 255, (*item.image_hw, 3), np.uint8
        )
        name = unicodedata.normalize("NFD" if self.decomposed else "NFC", f"{item.stem}.png")
        (folder / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        return f"{item.stem}.png"

    def beside(self, folder: Path, item: Labelled, suffix: str) -> Path:
        """A file of the image's own stem, which a tool names as the image is named on disk."""
        return folder / unicodedata.normalize("NFD" if self.decomposed else "NFC", item.stem + suffix)


def drawn() -> list[Labelled]:
    """Six images of six sizes, four to train with; one without boxes in train."""
    boxes: list[tuple[Box, ...]] = [
        (("cat", 2, 3, 12, 11), ("dog", 15, 5, 25, 20)),
        (("dog", 0, 0, 8, 9),),
        (),
        (("cat", 4, 4, 20, 18), ("cat", 21, 2, 30, 9)),
        (("dog", 1, 2, 9, 14),),
        (("cat", 3, 3, 13, 13), ("dog", 14, 6, 22, 17)),
    ]
    return [
        Labelled(f"käse {i}", "train" if i < 4 else "val", (24 + i, 32 + 2 * i), found) for i, found in enumerate(boxes)
    ]


def coco_document(items: Sequence[Labelled], name_of: Callable[[Labelled], str]) -> dict[str, Any]:
    images, rows = [], []
    for i, item in enumerate(items):
        height, width = item.image_hw
        images.append({"id": 7 * i + 3, "file_name": name_of(item), "height": height, "width": width})
        for label, x1, y1, x2, y2 in item.boxes:
            box, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
            row = {"id": len(rows) + 1, "image_id": 7 * i + 3, "category_id": LABELS.index(label) + 1}
            rows.append({**row, "bbox": box, "area": area, "iscrowd": 0, "segmentation": []})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(LABELS)]
    return {"images": images, "annotations": rows, "categories": categories}


def by_split(items: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    return {split: [item for item in items if item.split == split] for split in ("train", "val")}


def coco_one_file(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "images", item)
    habits.json(root / "instances.json", coco_document(items, lambda item: habits.stated(f"images/{item.stem}.png")))


def coco_by_split(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for split, some in by_split(items).items():
        for item in some:
            habits.image(root / "images" / habits.split_names[split], item)
        document = coco_document(some, lambda item: habits.stated(f"{item.stem}.png"))
        habits.json(root / "annotations" / f"instances_{habits.split_names[split]}.json", document)


def coco_2017(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for split, some in by_split(items).items():
        name = habits.split_names[split]
        for item in some:
            habits.image(root / name, item)
        document = coco_document(some, lambda item: habits.stated(f"{item.stem}.png"))
        habits.json(root / "annotations" / f"instances_{name}.json", document)
        captions = [{"id": 1, "image_id": 3, "caption": "a cat"}]
        habits.json(root / "annotations" / f"captions_{name}.json", {**document, "annotations": captions})


def coco_roboflow(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for split, some in by_split(items).items():
        folder = root / habits.split_names[split]
        for item in some:
            habits.image(folder, item)
        document = coco_document(some, lambda item: habits.stated(f"{item.stem}.png"))
        placeholder = {"id": 0, "name": "animals", "supercategory": "none"}
        real = [{**category, "supercategory": "animals"} for category in document["categories"]]
        habits.json(folder / "_annotations.coco.json", {**document, "categories": [placeholder, *real]})
    habits.text(root / "README.roboflow.txt", "exported by a test")


def coco_cvat(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "images" / "default", item)
    document = coco_document(items, lambda item: habits.stated(f"{item.stem}.png"))
    habits.json(root / "annotations" / "instances_default.json", document)


def coco_label_studio(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "images", item)
    document = coco_document(items, lambda item: habits.stated(f"../../label-studio/media/{item.stem}.png"))
    habits.json(root / "result.json", document)


def yolo_lines(item: Labelled) -> str:
    height, width = item.image_hw
    lines = []
    for label, x1, y1, x2, y2 in item.boxes:
        middle = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
        sides = (x2 - x1) / width, (y2 - y1) / height
        lines.append(" ".join([str(LABELS.index(label)), *(f"{v:.8f}" for v in (*middle, *sides))]))
    return "\n".join(lines)


def yolo(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "images" / habits.split(item), item)
        habits.text(habits.beside(root / "labels" / habits.split(item), item, ".txt"), yolo_lines(item))
    paths = "".join(f"{split}: {habits.stated(f'images/{name}')}\n" for split, name in habits.split_names.items())
    habits.text(root / "data.yaml", f"path: .\n{paths}names:\n  0: cat\n  1: dog\n")


def yolo_roboflow(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / habits.split(item) / "images", item)
        habits.text(habits.beside(root / habits.split(item) / "labels", item, ".txt"), yolo_lines(item))
    paths = "".join(f"{split}: ../{name}/images\n" for split, name in habits.split_names.items())
    habits.text(root / "data.yaml", f"{paths}nc: 2\nnames: ['cat', 'dog']\n")


def darknet(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "obj_train_data", item)
        habits.text(habits.beside(root / "obj_train_data", item, ".txt"), yolo_lines(item))
    habits.text(root / "obj.names", "cat\ndog\n")
    lists = "".join(f"{split} = data/{name}.txt\n" for split, name in habits.split_names.items())
    habits.text(root / "obj.data", f"classes = 2\n{lists}names = data/obj.names\nbackup = backup/\n")
    for split, some in by_split(items).items():
        paths = [habits.stated(f"data/obj_train_data/{item.stem}.png") for item in some]
        habits.text(root / f"{habits.split_names[split]}.txt", "\n".join(paths))


def voc_xml(item: Labelled, filename: str) -> str:
    height, width = item.image_hw
    objects = "".join(
        f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in item.boxes
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>x</folder><filename>{filename}</filename>{size}{objects}</annotation>"


def voc(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "JPEGImages", item)
        path = habits.beside(root / "Annotations", item, ".xml")
        habits.text(path, voc_xml(item, habits.stated(f"{item.stem}.png")))
    for split, some in by_split(items).items():
        stems = "\n".join(item.stem for item in some)
        habits.text(root / "ImageSets" / "Main" / f"{habits.split_names[split]}.txt", stems)


def voc_roboflow(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        folder = root / habits.split(item)
        habits.image(folder, item)
        habits.text(habits.beside(folder, item, ".xml"), voc_xml(item, habits.stated(f"{item.stem}.png")))


def voc_kaggle(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / "images", item)
        path = habits.beside(root / "annotations", item, ".xml")
        habits.text(path, voc_xml(item, habits.stated(f"{item.stem}.png")))


def cvat_xml(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    images = []
    for i, item in enumerate(items):
        habits.image(root / "images", item)
        height, width = item.image_hw
        boxes = "".join(
            f'<box label="{label}" occluded="0" xtl="{x1}.00" ytl="{y1}.00" xbr="{x2}.00" ybr="{y2}.00" z_order="0"/>'
            for label, x1, y1, x2, y2 in item.boxes
        )
        name = habits.stated(f"{item.stem}.png")
        images.append(f'<image id="{i}" name="{name}" width="{width}" height="{height}">{boxes}</image>')
    labels = "".join(f"<label><name>{label}</name></label>" for label in LABELS)
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    habits.text(root / "annotations.xml", f"{head}{meta}{''.join(images)}</annotations>")


def label_studio(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    tasks = []
    for i, item in enumerate(items):
        habits.image(root / "images", item)
        height, width = item.image_hw
        result = []
        for label, x1, y1, x2, y2 in item.boxes:
            value = {"x": 100 * x1 / width, "y": 100 * y1 / height, "rotation": 0, "rectanglelabels": [label]}
            value |= {"width": 100 * (x2 - x1) / width, "height": 100 * (y2 - y1) / height}
            sizes = {"original_width": width, "original_height": height}
            result.append({"id": f"r{len(result)}", "type": "rectanglelabels", "value": value, **sizes})
        data = {"image": habits.stated(f"/data/local-files/?d=images/{item.stem}.png")}
        tasks.append({"id": i + 1, "data": data, "annotations": [{"id": i, "result": result, "was_cancelled": False}]})
    habits.json(root / "project-1.json", tasks)


def labelme(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for item in items:
        habits.image(root / habits.split(item), item)
        height, width = item.image_hw
        shapes = [
            {"label": label, "points": [[x2, y2], [x1, y1]], "shape_type": "rectangle", "group_id": None, "flags": {}}
            for label, x1, y1, x2, y2 in item.boxes
        ]
        document = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": habits.stated(f"{item.stem}.png")}
        document |= {"imageData": None, "imageHeight": height, "imageWidth": width}
        habits.json(habits.beside(root / habits.split(item), item, ".json"), document)


def roboflow_csv(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    for split, some in by_split(items).items():
        folder, lines = root / habits.split_names[split], ["filename,width,height,class,xmin,ymin,xmax,ymax"]
        for item in some:
            habits.image(folder, item)
            (height, width), name = item.image_hw, habits.stated(f"{item.stem}.png")
            lines += [f"{name},{width},{height},{label},{x1},{y1},{x2},{y2}" for label, x1, y1, x2, y2 in item.boxes]
            lines += [] if item.boxes else [f"{name},{width},{height},,,,,"]
        habits.text(folder / "_annotations.csv", "\n".join(lines))


def supervisely(root: Path, items: Sequence[Labelled], habits: Habits) -> None:
    habits.json(root / "meta.json", {"classes": [{"title": label, "shape": "rectangle"} for label in LABELS]})
    for item in items:
        folder = root / habits.split(item)
        habits.image(folder / "img", item)
        height, width = item.image_hw
        objects = [
            {
                "id": i,
                "classTitle": label,
                "geometryType": "rectangle",
                "points": {"exterior": [[x1, y1], [x2, y2]], "interior": []},
            }
            for i, (label, x1, y1, x2, y2) in enumerate(item.boxes)
        ]
        document = {"description": "", "tags": [], "size": {"height": height, "width": width}, "objects": objects}
        habits.json(habits.beside(folder / "ann", item, ".png.json"), document)


Writer = Callable[[Path, Sequence[Labelled], Habits], None]
TOOLS: dict[str, tuple[Writer, str, bool]] = {  # writer, the layout's name, whether it states splits
    "COCO, one file": (coco_one_file, "COCO JSON", False),
    "COCO, a file a split": (coco_by_split, "COCO JSON", True),
    "COCO 2017": (coco_2017, "COCO JSON", True),
    "Roboflow COCO": (coco_roboflow, "COCO JSON", True),
    "CVAT COCO": (coco_cvat, "COCO JSON", False),
    "Label Studio COCO": (coco_label_studio, "COCO JSON", False),
    "YOLO": (yolo, "YOLO txt", True),
    "Roboflow YOLO": (yolo_roboflow, "YOLO txt", True),
    "Darknet": (darknet, "YOLO txt", True),
    "Pascal VOC": (voc, "Pascal VOC", True),
    "Roboflow VOC": (voc_roboflow, "Pascal VOC", True),
    "Kaggle VOC": (voc_kaggle, "Pascal VOC", False),
    "CVAT XML": (cvat_xml, "CVAT XML", False),
    "Label Studio": (label_studio, "Label Studio JSON", False),
    "labelme": (labelme, "labelme JSON", True),
    "Roboflow CSV": (roboflow_csv, "table of boxes", True),
    "Supervisely": (supervisely, "Supervisely JSON", True),
}
