"""COCO average precision and recall (https://cocodataset.org/#detection-eval) by pycocotools, on (result, truth) pairs.

pycocotools matches and accumulates; this module only speaks its format, keeps it quiet and reads its tables. What hangs
on a confidence (precision, recall, F1, counts, kinds of errors) is in foveal.metrics.detection.
"""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foveal.imaging import masks
from foveal.metrics.truth import ObjectTruth
from foveal.tasks.detections import Detections

Kind = Literal["bbox", "segm"]
Row = dict[str, Any]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COCO_RECALLS: FloatArray = np.linspace(0, 1, 101)

# name -> (table, IoU threshold or None for all ten, area, detections an image and class): pycocotools' twelve lines
LINES: dict[str, tuple[str, float | None, str, int]] = {
    "AP": ("precision", None, "all", 100),
    "AP50": ("precision", 0.5, "all", 100),
    "AP75": ("precision", 0.75, "all", 100),
    "AP_small": ("precision", None, "small", 100),
    "AP_medium": ("precision", None, "medium", 100),
    "AP_large": ("precision", None, "large", 100),
    "AR_1": ("recall", None, "all", 1),
    "AR_10": ("recall", None, "all", 10),
    "AR_100": ("recall", None, "all", 100),
    "AR_small": ("recall", None, "small", 100),
    "AR_medium": ("recall", None, "medium", 100),
    "AR_large": ("recall", None, "large", 100),
}


@dataclass(frozen=True)
class ClassMatches:
    """The detections of one class on all images, as COCO matched them at each IoU threshold."""

    scores: FloatArray  # (D,) at most 100 an image, in the order of images
    image_index: npt.NDArray[np.int64]  # (D,)
    hit: BoolArray  # (T, D) matched an object that counts
    ignored: BoolArray  # (T, D) matched a crowd: neither right nor wrong
    objects: npt.NDArray[np.int64]  # (I,) objects that count, by image


def evaluate(truth: Row, rows: Sequence[Row], kind: Kind) -> COCOeval:
    """Run pycocotools.

    Args:
        truth: a COCO data set: "images", "categories", "annotations" (ids from 1).
        rows: COCO results: "image_id", "category_id", "score" and "bbox" (x, y, w, h) or "segmentation" (RLE).
        kind: what overlaps are measured on.
    """
    ground, found = COCO(), COCO()
    ground.dataset = truth
    annotations = [_with_area(row, number, kind) for number, row in enumerate(rows, 1)]
    found.dataset = {**{name: truth[name] for name in ("images", "categories")}, "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        ground.createIndex()
        found.createIndex()
        run = COCOeval(ground, found, kind)
        run.evaluate()
        run.accumulate()
    return run


def figures(run: COCOeval, *, category: int | None = None) -> dict[str, float]:
    """The twelve COCO figures in [0, 1], over all classes or one (its index); those without any object are left out."""
    found = {}
    for name, (table, iou, area, most) in LINES.items():
        values = run.eval[table]  # precision (T, R, K, A, M), recall (T, K, A, M); -1: no such object
        if iou is not None:
            values = values[np.isclose(run.params.iouThrs, iou)]
        values = values[..., run.params.areaRngLbl.index(area), run.params.maxDets.index(most)]
        if category is not None:
            values = values[..., category]
        if (values > -1).any():
            found[name] = float(values[values > -1].mean())
    return found


def class_matches(run: COCOeval, category: int, *, area: int = 0) -> ClassMatches:
    """What pycocotools matched for one class (its index) and range of areas: 0 all, 1 small, 2 medium, 3 large."""
    params = run.params
    images = len(params.imgIds)
    start = (category * len(params.areaRng) + area) * images  # evalImgs runs over classes, areas, images
    thresholds = len(params.iouThrs)
    parts = []
    objects = np.zeros(images, np.int64)
    for index, cell in enumerate(run.evalImgs[start : start + images]):
        if cell is None:  # neither objects nor detections of the class
            continue
        matched = np.asarray(cell["dtMatches"], np.float64).reshape(thresholds, -1) > 0
        ignored = np.asarray(cell["dtIgnore"], bool).reshape(thresholds, -1)
        parts.append((np.asarray(cell["dtScores"], np.float64), matched & ~ignored, ignored, index))
        objects[index] = int(np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0))
    empty = np.zeros((thresholds, 0), bool)
    return ClassMatches(
        np.concatenate([np.zeros(0), *(p[0] for p in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(np.full(len(p[0]), p[3], np.int64) for p in parts)]),
        np.concatenate([empty, *(p[1] for p in parts)], axis=1),
        np.concatenate([empty, *(p[2] for p in parts)], axis=1),
        objects,
    )


def average_precision(scores: FloatArray, hit: BoolArray, objects: int, *, recalls: FloatArray = COCO_RECALLS) -> float:
    """AP at one IoU threshold: precision made falling, read at some recalls. Equals pycocotools' (tested).

    Args:
        scores: (D,), ignored detections left out.
        hit: (D,) whether each is right.
        objects: how many there are to find, at least 1.
        recalls: 101 of them are COCO's AP, 11 are VOC 2007's.
    """
    order = np.argsort(-scores, kind="mergesort")
    right = np.cumsum(hit[order])
    precision = right / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / objects, recalls, side="left")
    return float(np.append(falling, 0.0)[np.minimum(at, len(falling))].mean())


def truth_dataset(truths: Iterable[ObjectTruth], labels: Sequence[str], kind: Kind) -> Row:
    """Truths as a COCO data set; image i has id i + 1, class k has id k + 1."""
    images: list[Row] = []
    annotations: list[Row] = []
    for number, truth in enumerate(truths, 1):
        images.append({"id": number, "height": truth.image_hw[0], "width": truth.image_hw[1]})
        areas = truth.areas()
        for i in range(len(truth)):
            row: Row = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(truth.class_ids[i]) + 1,
                "bbox": xywh(truth.boxes_xyxy[i]),
                "area": float(areas[i]),
                "iscrowd": int(truth.crowd[i]),
            }
            if kind == "segm":
                assert truth.masks is not None, "segm needs truths with masks"
                row["segmentation"] = truth.masks[i]
            annotations.append(row)
    categories = [{"id": i, "name": label} for i, label in enumerate(labels, 1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def result_rows(results: Iterable[Detections], kind: Kind) -> list[Row]:
    """Results as COCO rows under the same ids."""
    rows = []
    for number, result in enumerate(results, 1):
        for i in range(len(result)):
            row: Row = {"image_id": number, "category_id": int(result.class_ids[i]) + 1}
            row["score"] = float(result.scores[i])
            if kind == "bbox":
                row["bbox"] = xywh(result.boxes_xyxy[i])
            else:
                row["segmentation"] = masks.rle(result.bitmap(i))
            rows.append(row)
    return rows


def xywh(box: npt.NDArray[np.float32]) -> list[float]:
    """[x1, y1, x2, y2] -> COCO's [x, y, width, height]."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _with_area(row: Row, number: int, kind: Kind) -> Row:
    """What COCO.loadRes adds; it cannot read an empty list, and takes a mask's area from the box when it has both."""
    area = row["bbox"][2] * row["bbox"][3] if kind == "bbox" else masks.rle_area_px(row["segmentation"])
    return {**row, "id": number, "area": area, "iscrowd": 0}
