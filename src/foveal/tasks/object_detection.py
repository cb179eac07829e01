"""Object detection: boxes with classes and scores, from two families of graphs.

All boxes inside graphs are model-input pixels, continuous edges, clipped to the content; class ids count from 0.

Two-stage (Faster R-CNN, Mask R-CNN): thresholds are inputs, so that later stages run only on what was asked for.
    images (N, H, W, 3) uint8, content_hw (N, 2) float32, score_threshold (N,) float32, iou_threshold () float32
    -> boxes (M, 4) float32, scores (M,) float32, class_ids (M,) int64, image_index (M,) int64,
       and for instance segmentation masks (M, m, m) float32
One-stage (SSD, SSDLite, RetinaNet): the graph gives its best K candidates; threshold and NMS run here.
    images (N, H, W, 3) uint8, content_hw (N, 2) float32
    -> boxes (N, K, 4) float32, scores (N, K) float32, class_ids (N, K) int64
Imported: one-stage without `content_hw`; its boxes may reach beyond the content.

`content_hw` is (height, width) of the image on the model input. A detection's score must be GREATER than the threshold,
so rows of score 0 are padding. The names of the graph's inputs tell the family; nothing is guessed from shapes.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from foveal.errors import BadPackage
from foveal.imaging.boxes import nms
from foveal.imaging.preprocess import ImageTransform
from foveal.options import MAX_DETECTIONS, Options
from foveal.packages.manifest import GoldenTolerance, PipelineSpec
from foveal.results import FloatArray, IntArray, JsonObject, Result
from foveal.tasks.arrow import pyarrow, scored, struct
from foveal.tasks.base import Array, Outputs, Prepared, Task, split_rows, stack_inputs
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks, Masks, PrototypeMasks
from foveal.tasks.matching import in_words, match_rendered
from foveal.tasks.schemas import Box, Entry, Schema, Score

MAX_CANDIDATES = 5000  # a one-stage image's best candidates before NMS: bounds time and memory at score_threshold 0
CLASS_OFFSET_PX = 7680  # of per_class_offset, as Ultralytics has it
MIN_SIDE_PX = 0.01  # in original pixels: what is narrower after clipping would be printed with no width

IMPORTED_INPUTS = frozenset({"images"})
ONE_STAGE_INPUTS = frozenset({"images", "content_hw"})
TWO_STAGE_INPUTS = ONE_STAGE_INPUTS | {"score_threshold", "iou_threshold"}


class Detection(Schema):
    """One object."""

    label: str
    class_id: int
    score: Score
    box: Box = Field(description="[x1, y1, x2, y2] in pixels of the image, continuous edges")


class DetectionEntry(Entry):
    """Objects by descending score."""

    detections: list[Detection]


def graph_family(spec: PipelineSpec) -> Literal["one-stage", "two-stage"]:
    """Which of the two signatures a model's graph has.

    Raises:
        BadPackage: neither.
    """
    names = {tensor.name for tensor in spec.inputs}
    if names == TWO_STAGE_INPUTS:
        return "two-stage"
    if names in (ONE_STAGE_INPUTS, IMPORTED_INPUTS):
        return "one-stage"
    raise BadPackage(
        f"expected graph inputs {sorted(IMPORTED_INPUTS)}, {sorted(ONE_STAGE_INPUTS)} or {sorted(TWO_STAGE_INPUTS)}, "
        f"got {sorted(names)}"
    )


class ObjectDetectionTask(Task):
    """Boxes; instance segmentation builds on it. The module's docstring names the tensors."""

    has_objects = True

    def __init__(self, **fields: Any) -> None:
        super().__init__(
            **{
                "name": "object-detection",
                "endpoint": "detect",
                "option_names": frozenset({"score_threshold", "iou_threshold", "max_detections", "classes"}),
                "columns": ("rank", "label", "class_id", "score", "x1", "y1", "x2", "y2"),
                "entry": DetectionEntry,
                "purpose": "Draws a box around every object of {classes}, with a score for each.",
                "limit": "Objects of other classes are missed or taken for one of its own.",
                "summary_title": "objects",
                **fields,
            }
        )

    def batch_key(self, options: Options) -> object:
        """The IoU threshold is one number for a whole batch of a two-stage graph."""
        return options.iou_threshold

    def feeds(self, batch: Sequence[Prepared], options: Sequence[Options], spec: PipelineSpec) -> dict[str, Array]:
        """Graph inputs for N images whose options share a batch key."""
        feeds: dict[str, Array] = {"images": stack_inputs(batch)}
        if len(spec.inputs) > 1:
            feeds["content_hw"] = np.array([item.transform.content_hw for item in batch], np.float32)
        if graph_family(spec) == "two-stage":
            feeds["score_threshold"] = np.array([o.score_threshold for o in options], np.float32)
            feeds["iou_threshold"] = np.array(options[0].iou_threshold, np.float32)
        return feeds

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """One-stage outputs by their first axis, two-stage rows by `image_index`."""
        if "image_index" not in outputs:
            return split_rows(outputs, count)
        rows = [np.flatnonzero(outputs["image_index"] == i) for i in range(count)]
        return [{name: value[mine] for name, value in outputs.items() if name != "image_index"} for mine in rows]

    def decode(self, outputs: Outputs, transform: ImageTransform, spec: PipelineSpec, options: Options) -> Detections:
        """Threshold, classes, original pixels, order, NMS (one-stage), cut.

        Ordering comes before NMS and the cuts, so that the result does not depend on the order of the graph's rows.
        """
        boxes, scores, class_ids = outputs["boxes"], outputs["scores"], outputs["class_ids"]
        rows = _wanted(scores, class_ids, spec.labels, options)
        boxes_xyxy = transform.to_image(boxes[rows])
        visible = np.min(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1) >= MIN_SIDE_PX
        order = _order(boxes_xyxy, scores[rows], class_ids[rows])[:MAX_CANDIDATES]
        most = options.max_detections or MAX_DETECTIONS
        if graph_family(spec) == "one-stage" and spec.nms != "none":
            assert options.iou_threshold is not None
            best = rows[order]  # NMS on model-input pixels, as the model was trained and scored
            apart, among = _groups(boxes[best], class_ids[best], spec.nms)
            limit = most if visible.all() else None  # boxes in the padding suppress, too, and are dropped after it
            order = order[nms(apart, scores[best], among, options.iou_threshold, limit=limit)]
        order = order[visible[order]][:most]
        masks = _masks(outputs, rows[order], transform)
        if isinstance(masks, PrototypeMasks):
            real = np.flatnonzero(masks.visible(boxes_xyxy[order], transform.image_hw))
            order, masks = order[real], masks.chosen(real)
        rows = rows[order]
        return Detections(boxes_xyxy[order], scores[rows], class_ids[rows], spec.labels, transform.image_hw, masks)

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Detections are matched one to one by class, box and score, so that near-ties may swap places."""
        missing, extra, _ = match_rendered(expected["detections"], got["detections"], tolerance)
        return [
            *(f"expected {in_words(row)}, got no such detection" for row in missing),
            *(f"expected no detection {in_words(row)}" for row in extra),
        ]

    def arrow_members(self, labels: Sequence[str], mask_format: str | None) -> dict[str, Any]:
        """A list of objects."""
        pa = pyarrow()
        return {"detections": pa.list_(struct(**scored(), box=pa.list_(pa.float64())))}

    def coco_rows(self, result: Result) -> list[JsonObject]:
        """One row an object, in COCO's (x, y, width, height)."""
        assert isinstance(result, Detections)
        return [result.coco_row(index) for index in range(len(result))]


def _groups(boxes: FloatArray, class_ids: IntArray, kind: str) -> tuple[FloatArray, IntArray]:
    """Boxes and the groups within which they suppress each other."""
    if kind == "per_class":
        return boxes, class_ids
    if kind == "per_class_offset":
        boxes = boxes + class_ids[:, None].astype(np.float32) * np.float32(CLASS_OFFSET_PX)
    return boxes, np.zeros(len(boxes), np.int64)


def _masks(outputs: Outputs, rows: IntArray, transform: ImageTransform) -> Masks | None:
    """Of the chosen rows, in either form."""
    if "masks" in outputs:
        return InstanceMasks(outputs["masks"][rows])
    if "prototypes" in outputs:
        return PrototypeMasks(outputs["coefficients"][rows], outputs["prototypes"], transform)
    return None


def _wanted(scores: FloatArray, class_ids: IntArray, labels: Sequence[str], options: Options) -> IntArray:
    """Rows above the score threshold and of a wanted class."""
    assert options.score_threshold is not None
    wanted = scores > np.float32(options.score_threshold)
    if options.classes is not None:
        wanted &= np.isin(class_ids, [labels.index(label) for label in options.classes])
    return np.flatnonzero(wanted)


def _order(boxes: FloatArray, scores: FloatArray, class_ids: IntArray) -> IntArray:
    """The order of detections: (-score, class_id, x1, y1, x2, y2)."""
    x1, y1, x2, y2 = boxes.T
    return np.lexsort((y2, x2, y1, x1, class_ids, -scores))
