"""Drawn data sets on disk, in the layouts that Foveal reads.

Image i goes to the same split and looks the same whatever the number of images: of ten in a row seven train, two
validate, the last tests. For classification the ten are rounds over all classes, so that every split has them all.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import cv2
import numpy as np
import numpy.typing as npt

from foveal.errors import BadRequest, UnknownName
from foveal.imaging.masks import Bitmap, rle
from foveal.packages.package import staged_folder
from foveal.synth.scene import Scene
from foveal.synth.styles import draw, draw_one, find_style

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Drawn:
    """One image of the data set."""

    name: str  # file name without folder
    split: str
    scene: Scene

    @property
    def stem(self) -> str:
        """File name without extension."""
        return Path(self.name).stem


LayoutWriter = Callable[[Path, Iterable[Drawn]], None]


@dataclass(frozen=True)
class Order:
    """What `foveal data synth` was asked for."""

    task: str
    style: str
    layout: str | None = None  # None: the task's first
    count: int = 100
    seed: int = 0
    image_hw: tuple[int, int] | None = None  # None: 128 x 128 for classification, else 240 x 320

    def drawn(self) -> Iterable[Drawn]:
        """Draw the images one after another."""
        style = find_style(self.style)
        for index in range(self.count):
            per_round = len(style.labels) if self.task == "classification" else 1
            split = _split_of(index // per_round)
            if self.task == "classification":
                class_id, size = index % len(style.labels), self.image_hw or (128, 128)
                scene = draw_one(self.style, class_id, seed=self.seed, index=index, image_hw=size)
            else:
                scene = draw(self.style, seed=self.seed, index=index, image_hw=self.image_hw or (240, 320))
            yield Drawn(f"{self.style}_{index:05}.png", split, scene)


def _split_of(number: int) -> str:
    return SPLITS[(number % 10 >= 7) + (number % 10 == 9)]


def write_data_set(
    order: Order, out: Path, *, track: Callable[[Iterable[Drawn]], Iterable[Drawn]] = lambda d: d
) -> str:
    """Draw and write a data set; everything or nothing.

    Args:
        order: what to draw.
        out: the folder to make.
        track: may wrap the images, for a progress bar.

    Returns:
        The layout that was written.

    Raises:
        UnknownName: no such task, style or layout. BadRequest: the style cannot be drawn for the task.
        BadOutput: `out` exists.
    """
    if order.task not in LAYOUTS:
        raise UnknownName.among("task", order.task, LAYOUTS)
    layouts = LAYOUTS[order.task]
    layout = order.layout or next(iter(layouts))
    if layout not in layouts:
        raise UnknownName.among(f"layout for {order.task}", layout, layouts)
    if layout == "idmaps" and len(find_style(order.style).labels) > 1:
        raise BadRequest(f"layout idmaps holds one class; expected such a style, got {order.style!r}")
    with staged_folder(out) as staged:
        layouts[layout](staged, track(order.drawn()))
    return layout


def _folders(root: Path, drawn: Iterable[Drawn]) -> None:
    for item in drawn:
        _png(root / _class_of(item.scene) / item.name, item.scene.rgb)


def _split_folders(root: Path, drawn: Iterable[Drawn]) -> None:
    for item in drawn:
        _png(root / item.split / _class_of(item.scene) / item.name, item.scene.rgb)


def _class_of(scene: Scene) -> str:
    """The class of the one thing; scraps around it are no instances."""
    return scene.labels[int(scene.class_ids[-1])]


def _coco(root: Path, drawn: Iterable[Drawn]) -> None:
    """images/ and annotations/instances_<split>.json; masks as uncompressed RLE would be large, so compressed ones."""
    documents: dict[str, dict[str, list[Any]]] = {split: {"images": [], "annotations": []} for split in SPLITS}
    labels: tuple[str, ...] = ()
    for image_id, item in enumerate(drawn, 1):
        _png(root / "images" / item.name, item.scene.rgb)
        labels, document = item.scene.labels, documents[item.split]
        height, width = item.scene.image_hw
        document["images"].append({"id": image_id, "file_name": item.name, "width": width, "height": height})
        document["annotations"] += _coco_objects(item.scene, image_id)
    categories = [{"id": i, "name": label} for i, label in enumerate(labels, 1)]
    (root / "annotations").mkdir()
    for split, document in documents.items():
        text = json.dumps({**document, "categories": categories})
        (root / "annotations" / f"instances_{split}.json").write_text(text)


def _coco_objects(scene: Scene, image_id: int) -> list[dict[str, Any]]:
    rows = []
    for i, ((x1, y1, x2, y2), class_id) in enumerate(zip(scene.boxes_xyxy.tolist(), scene.class_ids, strict=True)):
        mask = scene.mask(i)
        row = {
            "id": image_id * 10_000 + i,
            "image_id": image_id,
            "category_id": int(class_id) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": int(mask.sum()),
            "iscrowd": 0,
            "segmentation": _rle(mask),
        }
        rows.append(row)
    return rows


def _rle(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    encoded = rle(Bitmap(mask.astype(np.uint8), 0, 0, (mask.shape[0], mask.shape[1])))
    return {"size": encoded["size"], "counts": encoded["counts"]}


def _voc(root: Path, drawn: Iterable[Drawn]) -> None:
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    (root / "Annotations").mkdir()
    for item in drawn:
        _png(root / "JPEGImages" / item.name, item.scene.rgb)
        (root / "Annotations" / f"{item.stem}.xml").write_text(_voc_document(item))
        lists[item.split].append(item.stem)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, stems in lists.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def _voc_document(item: Drawn) -> str:
    scene = item.scene
    height, width = scene.image_hw
    objects = "".join(
        f"<object><name>{escape(scene.labels[int(class_id)])}</name><difficult>0</difficult>"
        f"<bndbox><xmin>{x1:g}</xmin><ymin>{y1:g}</ymin><xmax>{x2:g}</xmax><ymax>{y2:g}</ymax></bndbox></object>"
        for (x1, y1, x2, y2), class_id in zip(scene.boxes_xyxy.tolist(), scene.class_ids, strict=True)
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{escape(item.name)}</filename>{size}{objects}</annotation>\n"


def _yolo(root: Path, drawn: Iterable[Drawn]) -> None:
    labels: tuple[str, ...] = ()
    for item in drawn:
        labels = item.scene.labels
        _png(root / "images" / item.split / item.name, item.scene.rgb)
        path = root / "labels" / item.split / f"{item.stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_yolo_lines(item.scene))
    names = "".join(f"  {i}: {label}\n" for i, label in enumerate(labels))
    splits = "".join(f"{split}: images/{split}\n" for split in SPLITS)
    (root / "data.yaml").write_text(f"path: .\n{splits}names:\n{names}")


def _yolo_lines(scene: Scene) -> str:
    height, width = scene.image_hw
    return "".join(
        f"{class_id} {(x1 + x2) / 2 / width:.8f} {(y1 + y2) / 2 / height:.8f} "
        f"{(x2 - x1) / width:.8f} {(y2 - y1) / height:.8f}\n"
        for (x1, y1, x2, y2), class_id in zip(scene.boxes_xyxy.tolist(), scene.class_ids, strict=True)
    )


def _idmaps(root: Path, drawn: Iterable[Drawn]) -> None:
    for item in drawn:
        _png(root / "images" / item.name, item.scene.rgb)
        _png(root / "masks" / item.name, item.scene.instance_map)


def _class_maps(root: Path, drawn: Iterable[Drawn]) -> None:
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    labels: tuple[str, ...] = ()
    for item in drawn:
        labels = item.scene.map_labels
        _png(root / "images" / item.name, item.scene.rgb)
        _png(root / "masks" / item.name, item.scene.class_map)
        lists[item.split].append(item.stem)
    (root / "classes.txt").write_text("".join(f"{label}\n" for label in labels))
    for split, stems in lists.items():
        (root / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def _png(path: Path, pixels: npt.NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", pixels[:, :, ::-1] if pixels.ndim == 3 else pixels)
    assert ok
    path.write_bytes(data.tobytes())


LAYOUTS: dict[str, dict[str, LayoutWriter]] = {
    "classification": {"folders": _folders, "split-folders": _split_folders},
    "object-detection": {"coco": _coco, "voc": _voc, "yolo": _yolo},
    "instance-segmentation": {"coco": _coco, "idmaps": _idmaps},
    "semantic-segmentation": {"masks": _class_maps},
}
