"""Heads of YOLO detectors: Ultralytics (v8, v11, …), YOLOv5, YOLOX, and files with NMS or selection inside."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from foveal.export.importing.families.head import (
    Array,
    Head,
    Probe,
    best_of,
    corners,
    known_classes,
    known_scores,
)
from foveal.export.importing.operators import Operators
from foveal.export.importing.reading import Reading

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))


def _cells(probe: Probe, count: int, *, a_cell: int = 1) -> tuple[int, ...] | None:
    """The strides whose grids have so many cells (times anchors a cell); None: no known ones."""
    return next((strides for strides in STRIDES if probe.anchors(strides=strides) * a_cell == count), None)


def _best(ops: Operators, scores: str, kept: Sequence[int], classes: int) -> dict[str, str]:
    """(N, K, C) class scores -> the best of each row."""
    if list(kept) != list(range(classes)):
        scores = ops.op("Gather", scores, ops.ints(*kept), axis=2)
    best, ids = ops.best(scores, 2)
    return {"scores": ops.reshaped(best, 0, -1), "class_ids": ops.reshaped(ids, 0, -1)}


class UltralyticsHead(Head):
    """(N, 4 + C, A): centre x, y, width, height in model-input pixels, then C probabilities; A cells of all grids.

    https://docs.ultralytics.com/modes/export/; one class a box, as their predictor takes it.
    """

    name = "Ultralytics (N, 4 + C, A)"
    task = "object-detection"

    @classmethod
    def of(cls, probe: Probe) -> "UltralyticsHead | None":
        """By the cells of the grids along the last axis."""
        first = probe.arrays[0]
        if len(probe.outputs) == 1 and first.ndim == 3 and first.shape[1] > 4 and _cells(probe, first.shape[2]):
            return cls(probe, first.shape[1] - 4)
        return None

    def defaults(self) -> dict[str, Any]:
        """Raw boxes need NMS; theirs moves the boxes of each class by 7680 px in float32, which rounds them."""
        return {"nms": "per-class-offset"}

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Transpose, corners, best class."""
        rows = ops.op("Transpose", ops.float32(outputs[0]), perm=[0, 2, 1])
        scores = ops.cut(rows, 2, 4)
        return {"boxes": ops.centre_to_corners(ops.cut(rows, 2, 0, 4)), **_best(ops, scores, kept, self.classes)}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        rows = outputs[0].astype(np.float32).transpose(0, 2, 1)
        scores, class_ids = best_of(rows[..., 4:][..., list(kept)])
        return {"boxes": corners(rows[..., :4]), "scores": scores, "class_ids": class_ids}


class UltralyticsSegmentHead(UltralyticsHead):
    """(N, 4 + C + k, A) and (N, k, h, w): as `UltralyticsHead`, with k coefficients of mask prototypes for each box."""

    name = "Ultralytics segment (N, 4 + C + k, A) and (N, k, h, w)"
    task = "instance-segmentation"

    def __init__(self, probe: Probe, classes: int, prototypes: int) -> None:
        super().__init__(probe, classes)
        self.count = prototypes

    @classmethod
    def of(cls, probe: Probe) -> "UltralyticsSegmentHead | None":
        """By the cells of the grids, and an output of rank 4."""
        first, *rest = probe.arrays
        if first.ndim != 3 or len(rest) != 1 or rest[0].ndim != 4 or not _cells(probe, first.shape[2]):
            return None
        count = rest[0].shape[1]
        return cls(probe, first.shape[1] - 4 - count, count) if first.shape[1] > 4 + count else None

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Transpose, corners, best class; coefficients and prototypes as they are."""
        rows, end = ops.op("Transpose", ops.float32(outputs[0]), perm=[0, 2, 1]), 4 + self.classes
        best = _best(ops, ops.cut(rows, 2, 4, end), kept, self.classes)
        masks = {"coefficients": ops.cut(rows, 2, end), "prototypes": ops.float32(outputs[1])}
        return {"boxes": ops.centre_to_corners(ops.cut(rows, 2, 0, 4)), **best, **masks}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        rows, end = outputs[0].astype(np.float32), 4 + self.classes
        found = super().answer([rows[:, :end]], reading, kept)
        masks = {"coefficients": rows[:, end:].transpose(0, 2, 1), "prototypes": outputs[1].astype(np.float32)}
        return {**found, **masks}


class YoloV5Head(Head):
    """(N, 3 A, 5 + C): boxes as in Ultralytics', then objectness and C probabilities, whose product is the score.

    https://github.com/ultralytics/yolov5; three anchors a cell.
    """

    name = "YOLOv5 (N, 3 A, 5 + C)"
    task = "object-detection"

    @classmethod
    def of(cls, probe: Probe) -> "YoloV5Head | None":
        """By three times the cells along the second axis; further outputs are the training's own."""
        first = probe.arrays[0]
        if first.ndim == 3 and first.shape[2] > 5 and _cells(probe, first.shape[1], a_cell=3):
            return cls(probe, first.shape[2] - 5)
        return None

    def defaults(self) -> dict[str, Any]:
        """Raw boxes need NMS; 0.45 is the default of YOLOv5's own detect.py."""
        return {"nms": "per-class-offset", "iou_threshold": 0.45}

    def rows(self, ops: Operators, output: str, reading: Reading) -> str:
        """(N, K, 5 + C) with boxes in model-input pixels."""
        return ops.float32(output)

    def rows_array(self, output: Array, reading: Reading) -> Array:
        """The same."""
        return output.astype(np.float32)

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Objectness times class, corners, best class."""
        rows = self.rows(ops, outputs[0], reading)
        scores = ops.op("Mul", ops.cut(rows, 2, 5), ops.cut(rows, 2, 4, 5))
        return {"boxes": ops.centre_to_corners(ops.cut(rows, 2, 0, 4)), **_best(ops, scores, kept, self.classes)}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        rows = self.rows_array(outputs[0], reading)
        scores, class_ids = best_of((rows[..., 5:] * rows[..., 4:5])[..., list(kept)])
        return {"boxes": corners(rows[..., :4]), "scores": scores, "class_ids": class_ids}


class YoloxHead(YoloV5Head):
    """(N, A, 5 + C): as YOLOv5's, but boxes are offsets from a cell in strides, and logarithms of sizes.

    https://github.com/Megvii-BaseDetection/YOLOX, demo_postprocess; files exported with --decode_in_inference have
    boxes in pixels, which the probe shows.
    """

    name = "YOLOX (N, A, 5 + C)"

    def __init__(self, probe: Probe, classes: int) -> None:
        super().__init__(probe, classes)
        strides = _cells(probe, probe.arrays[0].shape[1])
        assert strides is not None
        self.grid, self.stride = _grid(probe.input_hw, strides)
        self.in_pixels = float(probe.arrays[0][..., 0].mean()) > probe.input_hw[1] / 8

    @classmethod
    def of(cls, probe: Probe) -> "YoloxHead | None":
        """By the cells along the second axis."""
        first = probe.arrays[0]
        if len(probe.outputs) == 1 and first.ndim == 3 and first.shape[2] > 5 and _cells(probe, first.shape[1]):
            return cls(probe, first.shape[2] - 5)
        return None

    def defaults(self) -> dict[str, Any]:
        """Raw boxes need NMS."""
        return {"nms": "per-class"}

    def rows(self, ops: Operators, output: str, reading: Reading) -> str:
        """Cells and strides applied."""
        rows = ops.float32(output)
        if self.in_pixels:
            return rows
        stride = ops.array(self.stride[None])
        centres = ops.op("Mul", ops.op("Add", ops.cut(rows, 2, 0, 2), ops.array(self.grid[None])), stride)
        sizes = ops.op("Mul", ops.op("Exp", ops.cut(rows, 2, 2, 4)), stride)
        return ops.op("Concat", centres, sizes, ops.cut(rows, 2, 4), axis=2)

    def rows_array(self, output: Array, reading: Reading) -> Array:
        """The same."""
        rows = output.astype(np.float32)
        if self.in_pixels:
            return rows
        centres, sizes = (rows[..., :2] + self.grid) * self.stride, np.exp(rows[..., 2:4]) * self.stride
        return np.concatenate([centres, sizes, rows[..., 4:]], axis=-1)


def _grid(input_hw: tuple[int, int], strides: Sequence[int]) -> tuple[Array, Array]:
    """(A, 2) x and y of every cell, (A, 1) its stride; row by row, finest grid first; float32."""
    cells, sizes = [], []
    for stride in strides:
        rows, columns = input_hw[0] // stride, input_hw[1] // stride
        y, x = np.mgrid[:rows, :columns]
        cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        sizes.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(sizes).astype(np.float32)


class EndToEndHead(Head):
    """(N, K, 6): x1, y1, x2, y2 in model-input pixels, score, class: NMS is inside, or none is needed (YOLOv10, 26).

    Files exported with `nms=True` have these outputs too, though their metadata still say `end2end: False`.
    """

    name = "end-to-end (N, K, 6)"
    task = "object-detection"

    @classmethod
    def of(cls, probe: Probe) -> "EndToEndHead | None":
        """Six columns, and fewer rows than a grid has cells."""
        first = probe.arrays[0]
        if len(probe.outputs) != 1 or first.ndim != 3 or first.shape[2] != 6:
            return None
        return None if _cells(probe, first.shape[1]) or _cells(probe, first.shape[1], a_cell=3) else cls(probe, 0)

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Columns."""
        rows = ops.float32(outputs[0])
        ids = ops.op("Cast", ops.op("Round", ops.reshaped(ops.cut(rows, 2, 5, 6), 0, -1)), to=TensorProto.INT64)
        scores = ops.reshaped(ops.cut(rows, 2, 4, 5), 0, -1)
        return {"boxes": ops.cut(rows, 2, 0, 4), **known_classes(ops, scores, ids, reading, len(kept))}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        rows = outputs[0].astype(np.float32)
        ids = np.round(rows[..., 5]).astype(np.int64) - reading.class_offset
        return {"boxes": rows[..., :4], "scores": known_scores(rows[..., 4], ids, len(kept)), "class_ids": ids}


class EndToEndSegmentHead(EndToEndHead):
    """(N, K, 6 + k) and (N, k, h, w): as `EndToEndHead`, with coefficients of mask prototypes."""

    name = "end-to-end segment (N, K, 6 + k) and (N, k, h, w)"
    task = "instance-segmentation"

    @classmethod
    def of(cls, probe: Probe) -> "EndToEndSegmentHead | None":
        """Six columns and as many as there are prototypes."""
        first, *rest = probe.arrays
        fits = first.ndim == 3 and len(rest) == 1 and rest[0].ndim == 4 and first.shape[2] == 6 + rest[0].shape[1]
        return cls(probe, 0) if fits else None

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Columns; coefficients and prototypes as they are."""
        found = super().suffix(ops, outputs, reading, kept)
        masks = {"coefficients": ops.cut(ops.float32(outputs[0]), 2, 6), "prototypes": ops.float32(outputs[1])}
        return {**found, **masks}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        found = super().answer(outputs, reading, kept)
        masks = {"coefficients": outputs[0][..., 6:].astype(np.float32), "prototypes": outputs[1].astype(np.float32)}
        return {**found, **masks}
