"""Writers of class maps: images and masks, and COCO JSON with one object a class and image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.metrics.truth import ObjectTruth
from foveal.models.convert.item import SPLITS, Item, Job
from foveal.models.convert.objects import write_coco
from foveal.models.detection.layouts.truth import objects, rle_of
from foveal.models.segmentation.layouts.painted import PaintedObjects
from foveal.models.segmentation.layouts.truth import BACKGROUND, LabelMap

IGNORED = "ignored"
MAX_CLASSES = 255


def write_masks(job: Job, items: Iterable[Item]) -> None:
    """images/, masks/ of class ids, classes.txt and <split>.txt."""
    lists: dict[str, list[str]] = {}
    if odd := [label for label in job.labels if label != label.strip() or "\n" in label]:
        raise BadData(f"expected class names that fit on a line, got {odd}")
    for item in items:
        job.place(item, "images")
        path = job.root / "masks" / f"{item.stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        ok, data = cv2.imencode(".png", item.truth.read())
        assert ok
        path.write_bytes(data.tobytes())
        if item.split:
            lists.setdefault(item.split, []).append(item.stem)
    (job.root / "classes.txt").write_text("".join(f"{label}\n" for label in job.labels), encoding="utf-8")
    for split in SPLITS:
        if split in lists:
            text = "".join(f"{stem}\n" for stem in lists[split])
            (job.root / f"{split}.txt").write_text(text, encoding="utf-8")


def write_painted(job: Job, items: Iterable[Item]) -> None:
    """Masks of objects as class maps: background, and objects from large to small."""
    labels = tuple(job.labels) if BACKGROUND in job.labels else (BACKGROUND, *job.labels)
    if len(labels) > MAX_CLASSES:
        raise BadData(f"expected at most {MAX_CLASSES} classes for masks, got {len(labels)}")
    id_of = tuple(labels.index(label) for label in job.labels)

    def painted() -> Iterator[Item]:
        for item in items:
            truth: ObjectTruth = item.truth
            if truth.masks is None and len(truth):
                raise BadData(f"{item.source}: expected objects with masks, got {len(truth)} boxes")
            job.loss.add("objects lose what tells them apart: pixels of one class are one area", len(truth))
            yield replace(item, truth=PaintedObjects(truth, id_of, labels.index(BACKGROUND)))

    write_masks(replace(job, labels=labels), painted())


def write_areas(job: Job, items: Iterable[Item]) -> None:
    """Class maps as COCO JSON: for each image and class one object of all its pixels."""
    taken = list(items)
    labels = [*job.labels]
    if any((item.truth.read() == IGNORE).any() for item in taken):
        labels.append(IGNORED)
        job.loss.counts[f"pixels that counted nowhere are class {IGNORED!r} now: --set ignore={IGNORED}"] = 0
    write_coco(replace(job, labels=labels), (replace(item, truth=_areas(item.truth, labels)) for item in taken))


def _areas(truth: LabelMap, labels: Sequence[str]) -> ObjectTruth:
    ids = truth.read()
    class_ids, boxes, masks = [], [], []
    for value in np.unique(ids).tolist():
        covered = ids == value
        ys, xs = np.nonzero(covered)
        class_ids.append(len(labels) - 1 if value == IGNORE else value)
        boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        masks.append(rle_of(covered))
    return objects(boxes, class_ids, (ids.shape[0], ids.shape[1]), masks=masks)
