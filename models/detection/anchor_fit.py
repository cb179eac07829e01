"""Fit of anchor shapes to a data set after the model's own resize (`fit`), and shapes clustered from it (`tuned`).

The best possible recall asks how many objects have an anchor of at least an IoU at the best of all places. Positions
are left out on purpose (anchor and object share a corner): what a grid of places costs is the stride's business, and
shapes stay comparable. Tuned anchors: k-means on 1 - IoU (Redmon, Farhadi, "YOLO9000", CVPR 2017, section 2). Better
recall is a hint, not a proof (auto-anchors have made AP worse): keep them only if a short run improves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from foveal.imaging.boxes import box_iou
from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample

Array = npt.NDArray[np.floating]
MATCH_IOU = 0.5
SIZES_PX = (0.0, 16.0, 32.0, 64.0, 128.0, 256.0, np.inf)
RATIOS = (0.0, 0.5, 0.8, 1.25, 2.0, np.inf)  # height / width


@dataclass(frozen=True)
class Fit:
    """How a set of anchor shapes fits boxes."""

    recall: float  # share of boxes whose best anchor reaches MATCH_IOU
    mean_iou: float  # of each box with its best anchor
    by_size: dict[str, tuple[int, float]]  # model-input px -> (boxes, recall)
    by_ratio: dict[str, tuple[int, float]]  # height / width -> (boxes, recall)


def input_sides(samples: Sequence[Sample[ObjectTruth]], preprocess: Preprocess) -> Array:
    """(M, 2) width and height of every object that is learned, in model-input pixels."""
    sides = [np.zeros((0, 2))]
    for sample in samples:
        truth = sample.truth
        content_hw = preprocess.resized_hw(truth.image_hw)
        scale = np.array([content_hw[1] / truth.image_hw[1], content_hw[0] / truth.image_hw[0]])
        boxes = truth.boxes_xyxy[~truth.crowd]
        sides.append((boxes[:, 2:] - boxes[:, :2]) * scale)
    every: Array = np.concatenate(sides)
    return every[(every > 0).all(1)]


def shape_iou(sides: Array, shapes: Array) -> Array:
    """IoU of boxes (M, 2) and anchors (K, 2), both (width, height), that share a corner -> (M, K)."""
    return box_iou(*(np.concatenate((np.zeros_like(a), a), 1) for a in (sides, shapes)))


def fit(sides: Array, shapes: Array) -> Fit:
    """Judge anchor shapes (K, 2) on boxes (M, 2)."""
    best = shape_iou(sides, shapes).max(1)
    size, ratio = np.sqrt(sides.prod(1)), sides[:, 1] / sides[:, 0]
    return Fit(
        recall=float((best >= MATCH_IOU).mean()),
        mean_iou=float(best.mean()),
        by_size=_by_range(best, size, SIZES_PX),
        by_ratio=_by_range(best, ratio, RATIOS),
    )


def _by_range(best: Array, values: Array, edges: Sequence[float]) -> dict[str, tuple[int, float]]:
    table = {}
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        if inside.any():
            table[f"{low:g} to {high:g}"] = (int(inside.sum()), float((best[inside] >= MATCH_IOU).mean()))
    return table


def tuned(sides: Array, count: int, *, seed: int = 0, rounds: int = 100) -> Array:
    """`count` anchor shapes (count, 2) by k-means with the distance 1 - IoU, smallest first.

    A centre is the median of its boxes, which outliers do not pull.
    """
    centres, nearest = _initial_centres(sides, count, np.random.default_rng(seed)), np.full(len(sides), -1)
    for _ in range(rounds):
        again = shape_iou(sides, centres).argmax(1)
        if (again == nearest).all():
            break
        nearest = again
        for k in range(count):
            if (nearest == k).any():
                centres[k] = np.median(sides[nearest == k], axis=0)
    ordered: Array = centres[np.argsort(centres.prod(1))]
    return ordered


def _initial_centres(sides: Array, count: int, random: np.random.Generator) -> Array:
    """k-means++ (Arthur, Vassilvitskii 2007): a start is the likelier, the farther it is from those before."""
    chosen = [int(random.integers(len(sides)))]
    while len(chosen) < count:
        distance = (1 - shape_iou(sides, sides[chosen]).max(1)) ** 2
        total = distance.sum()
        chances = distance / total if total > 0 else None  # fewer different boxes than centres: any
        chosen.append(int(random.choice(len(sides), p=chances)))
    start: Array = sides[chosen].astype(np.float64)
    return start


def as_text(found: Fit) -> str:
    """A table for a person."""
    lines = [f"recall {found.recall:.3f} at IoU {MATCH_IOU}, mean IoU {found.mean_iou:.3f}"]
    for title, table in (("size, model-input px", found.by_size), ("height / width", found.by_ratio)):
        lines.append(f"{title:>18}   boxes  recall")
        lines += [f"{name:>18} {count:7d}  {recall:6.3f}" for name, (count, recall) in table.items()]
    return "\n".join(lines)


def draw_anchors(sample: Sample[ObjectTruth], preprocess: Preprocess, shapes: Array) -> npt.NDArray[np.uint8]:
    """The model input (H, W, 3) with its objects in green and, on each, its best anchor in red."""
    model_input, transform = preprocess.apply(decode(sample.path.read_bytes(), target_hw=preprocess.decode_target))
    drawn = model_input.copy()
    boxes = transform.to_input(sample.truth.boxes_xyxy)
    best = shape_iou(boxes[:, 2:] - boxes[:, :2], shapes).argmax(1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    anchored = np.concatenate((centres - shapes[best] / 2, centres + shapes[best] / 2), 1)
    for rows, colour in ((boxes, (0, 200, 0)), (anchored, (220, 0, 0))):
        for x1, y1, x2, y2 in np.rint(rows).astype(int).tolist():
            cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, 1)
    return drawn
