"""Writers of objects: COCO JSON, YOLO, Pascal VOC."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

import cv2
import numpy as np
import yaml
from pycocotools import mask as coco_mask

from foveal.metrics.truth import ObjectTruth, Rle
from foveal.models.convert.item import Item, Job, by_split

CROWD_YOLO = "crowds and difficult objects are left out: YOLO has no mark for them"
AREA = "annotated areas become those of the boxes"


def write_coco(job: Job, items: Iterable[Item]) -> None:
    """images/ and annotations/instances_<split>.json; masks as compressed run lengths."""
    written = []
    for item in items:
        job.place(item, "images")
        written.append(item)
    categories = [{"id": i, "name": label} for i, label in enumerate(job.labels, 1)]
    (job.root / "annotations").mkdir(exist_ok=True)
    image_id = object_id = 1
    for split, mine in by_split(written).items():
        document: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": categories}
        for item in mine:
            height, width = item.truth.image_hw
            document["images"].append({"id": image_id, "file_name": item.file_name, "width": width, "height": height})
            rows = coco_rows(item.truth, image_id, object_id)
            document["annotations"] += rows
            image_id, object_id = image_id + 1, object_id + len(rows)
        name = f"instances_{split}.json" if split else "instances.json"
        (job.root / "annotations" / name).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def coco_rows(truth: ObjectTruth, image_id: int, object_id: int) -> list[dict[str, Any]]:
    """COCO's annotations of one image."""
    boxes, areas = truth.boxes_xyxy.astype(np.float64), truth.areas()
    rows = []
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        row: dict[str, Any] = {
            "id": object_id + i,
            "image_id": image_id,
            "category_id": int(truth.class_ids[i]) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": float(areas[i]),
            "iscrowd": int(truth.crowd[i]),
        }
        if truth.masks is not None:
            row["segmentation"] = truth.masks[i]
        rows.append(row)
    return rows


def write_yolo_boxes(job: Job, items: Iterable[Item]) -> None:
    """images/<split>/, labels/<split>/ and data.yaml; a line is `class cx cy w h`."""
    _write_yolo(job, items, outlines=False)


def write_yolo_outlines(job: Job, items: Iterable[Item]) -> None:
    """The same with `class x1 y1 x2 y2 …`."""
    _write_yolo(job, items, outlines=True)


def _write_yolo(job: Job, items: Iterable[Item], *, outlines: bool) -> None:
    splits = set()
    for item in items:
        truth: ObjectTruth = item.truth
        folder = f"/{item.split}" if item.split else ""
        splits.add(item.split)
        job.place(item, f"images{folder}")
        job.loss.add(CROWD_YOLO, int(truth.crowd.sum()))
        if not outlines and truth.masks is not None:
            job.loss.add(
                "masks are left out: boxes are written (--task instance-segmentation writes outlines)", len(truth)
            )
        kept = [i for i in range(len(truth)) if not truth.crowd[i]]
        lines = [_outline_line(job, truth, i) if outlines and truth.masks else _box_line(truth, i) for i in kept]
        path = job.root / f"labels{folder}" / f"{item.stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
    described: dict[str, Any] = {"path": "."}
    described |= {split: f"images/{split}" for split in ("train", "val", "test") if split in splits}
    if splits == {None}:
        described["train"] = "images"
    described["names"] = dict(enumerate(map(str, job.labels)))
    text = yaml.safe_dump(described, allow_unicode=True, sort_keys=False)
    (job.root / "data.yaml").write_text(text, encoding="utf-8")


def _box_line(truth: ObjectTruth, i: int) -> str:
    height, width = truth.image_hw
    x1, y1, x2, y2 = truth.boxes_xyxy[i].astype(np.float64).tolist()
    numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(int(truth.class_ids[i])), *(f"{number:.10f}" for number in numbers)])


def _outline_line(job: Job, truth: ObjectTruth, i: int) -> str:
    """The largest piece's outline through the middles of its border pixels, as OpenCV traces it."""
    assert truth.masks is not None
    height, width = truth.image_hw
    pieces = _outlines(truth.masks[i])
    if not pieces:
        job.loss.add("objects without an outline of three points are written as boxes")
        return _box_line(truth, i)
    job.loss.add("further pieces of objects are left out: a line holds one outline", len(pieces) - 1)
    points = (pieces[0] / (width, height)).ravel().tolist()
    return " ".join([str(int(truth.class_ids[i])), *(f"{number:.8f}" for number in points)])


def _outlines(rle: Rle) -> list[np.ndarray[Any, Any]]:
    bitmap = np.ascontiguousarray(coco_mask.decode(rle))
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pieces = [contour.reshape(-1, 2).astype(np.float64) + 0.5 for contour in contours if len(contour) >= 3]
    return sorted(pieces, key=lambda piece: -cv2.contourArea(piece.astype(np.float32)))


def write_voc(job: Job, items: Iterable[Item]) -> None:
    """JPEGImages/, Annotations/*.xml and ImageSets/Main/<split>.txt."""
    lists: dict[str, list[str]] = {}
    seen: set[int] = set()
    for item in items:
        truth: ObjectTruth = item.truth
        job.place(item, "JPEGImages")
        path = job.root / "Annotations" / f"{item.stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_voc_document(item, job.labels), encoding="utf-8")
        seen |= {int(i) for i in truth.class_ids}
        if item.split:
            lists.setdefault(item.split, []).append(item.stem)
        if truth.masks is not None:
            job.loss.add("masks are left out: VOC's objects are boxes", len(truth))
        job.loss.add("crowds are written as difficult objects", int(truth.crowd.sum()))
    for split, stems in lists.items():
        path = job.root / "ImageSets" / "Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    unused = [label for i, label in enumerate(job.labels) if i not in seen]
    job.loss.add(f"classes without an object are left out, since VOC lists none: {', '.join(unused)}", len(unused))
    if list(job.labels) != sorted(job.labels):
        job.loss.counts["the order of classes becomes alphabetical, since VOC has no list of them"] = 0


def _voc_document(item: Item, labels: Sequence[str]) -> str:
    truth: ObjectTruth = item.truth
    height, width = truth.image_hw
    objects = "".join(
        f"<object><name>{escape(labels[int(class_id)])}</name><difficult>{int(crowd)}</difficult>"
        f"<bndbox><xmin>{x1!r}</xmin><ymin>{y1!r}</ymin><xmax>{x2!r}</xmax><ymax>{y2!r}</ymax></bndbox></object>"
        for (x1, y1, x2, y2), class_id, crowd in zip(
            truth.boxes_xyxy.tolist(), truth.class_ids, truth.crowd, strict=True
        )
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{escape(item.file_name)}</filename>{size}{objects}</annotation>\n"
