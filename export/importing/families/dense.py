"""Heads of classifiers and of semantic segmentation."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from onnx import TensorProto

from foveal.export.importing.families.head import Array, Head, Probe, sigmoid, softmax
from foveal.export.importing.operators import Operators
from foveal.export.importing.reading import Reading

TINY = float(np.finfo(np.float32).tiny)  # probabilities below it have no logarithm
LARGEST_CLASS_ID = 255  # class maps are 8 bit


class ClassifierHead(Head):
    """(N, C) or (N, C, 1, 1): logits, or probabilities where the file ends in a softmax; (N, 1): of the second class.

    The task's output is logits: of probabilities that is their logarithm, since softmax(log p) = p.
    """

    name = "classifier (N, C)"
    task = "classification"

    @classmethod
    def of(cls, probe: Probe) -> "ClassifierHead | None":
        """The first output, where one image gives one row."""
        first = probe.arrays[0]
        flat = first.ndim == 2 or (first.ndim == 4 and first.shape[2:] == (1, 1))
        if first.dtype.kind != "f" or not flat or (first.ndim == 2 and first.shape[0] != max(1, probe.batch)):
            return None
        return cls(probe, max(2, first.shape[1]))

    @property
    def binary(self) -> bool:
        """One column."""
        return bool(self.probe.arrays[0].shape[1] == 1)

    def defaults(self) -> dict[str, Any]:
        """What the numbers are, from the numbers: rows of probabilities sum to 1."""
        rows = self.probe.arrays[0].reshape(-1, self.probe.arrays[0].shape[1]).astype(np.float64)
        within = bool(((rows >= 0) & (rows <= 1)).all())
        if self.binary:
            return {"activation": "none" if within else "sigmoid"}
        return {"activation": "none" if within and np.abs(rows.sum(axis=1) - 1).max() < 1e-2 else "softmax"}

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Logits, of which the task takes the softmax."""
        row = ops.reshaped(ops.float32(outputs[0]), 0, -1)
        if self.binary:
            if reading.activation == "sigmoid":
                return {"logits": ops.op("Concat", ops.op("Mul", row, ops.floats(0.0)), row, axis=1)}
            row = ops.op("Concat", ops.op("Sub", ops.floats(1.0), row), row, axis=1)
        if reading.activation == "none":
            row = ops.op("Log", ops.op("Max", row, ops.floats(TINY)))
        return {"logits": ops.op("Identity", row)}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        row = outputs[0].astype(np.float32).reshape(len(outputs[0]), -1)
        if self.binary:
            if reading.activation == "sigmoid":
                return {"logits": np.concatenate([0 * row, row], axis=1)}
            row = np.concatenate([1 - row, row], axis=1)
        return {"logits": np.log(np.maximum(row, np.float32(TINY))) if reading.activation == "none" else row}


class SemanticHead(Head):
    """(N, C, h, w) or (N, h, w, C) logits, enlarged to the model input before the best class is taken.

    (N, 1, h, w) is a mask of the second class; integers (N, h, w) are classes already.
    """

    name = "semantic segmentation (N, C, h, w)"
    task = "semantic-segmentation"

    def __init__(self, probe: Probe, classes: int, place: int) -> None:
        super().__init__(probe, classes)
        self.place = place
        self.chosen = probe.arrays[place].dtype.kind in "iu"  # classes, not logits
        shape = probe.arrays[place].shape
        self.last = not self.chosen and probe.channels_last and shape[-1] < min(shape[1:3])

    @classmethod
    def of(cls, probe: Probe) -> "SemanticHead | None":
        """The output that is called out or logits, else the first of rank 4 (auxiliary ones follow)."""
        place = probe.named("out", "logits") or 0
        array = probe.arrays[place]
        if array.dtype.kind in "iu" and array.ndim in (3, 4) and array.shape[-1] > 1:
            return cls(probe, 0, place)
        if array.ndim != 4 or array.dtype.kind != "f" or min(array.shape[-2:]) < 1 or array.shape[1:3] == (1, 1):
            return None
        head = cls(probe, 0, place)
        head.classes = max(2, array.shape[3] if head.last else array.shape[1])
        return head if head.classes <= LARGEST_CLASS_ID + 1 else None

    @property
    def binary(self) -> bool:
        """One plane."""
        return not self.chosen and self.probe.arrays[self.place].shape[3 if self.last else 1] == 1

    def defaults(self) -> dict[str, Any]:
        """A single plane of probabilities needs no sigmoid."""
        array = self.probe.arrays[self.place]
        if not self.binary:
            return {"activation": "none" if self.chosen else "softmax"}
        return {"activation": "none" if bool(((array >= 0) & (array <= 1)).all()) else "sigmoid"}

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Enlarge, softmax, best class and its probability."""
        height, width = self.probe.input_hw
        if self.chosen:
            ids = ops.op("Cast", outputs[self.place], to=TensorProto.UINT8)
            rank, (rows, columns) = self.probe.arrays[self.place].ndim, self.probe.arrays[self.place].shape[-2:]
            ids = ops.reshaped(ids, 0, rows, columns) if rank == 4 else ids
            nothing = ops.op("Mul", ops.op("Cast", ids, to=TensorProto.FLOAT), ops.floats(0.0))
            certain = ops.op("Cast", ops.op("Add", nothing, ops.floats(255.0)), to=TensorProto.UINT8)
            return {"class_map": ids, "confidence": certain}
        planes = ops.float32(outputs[self.place])
        if self.last:
            planes = ops.op("Transpose", planes, perm=[0, 3, 1, 2])
        if self.probe.arrays[self.place].shape[1 if self.last else 2] != height:
            planes = self._enlarged(ops, planes, height, width)
        if self.binary:
            second = planes if reading.activation == "none" else ops.op("Sigmoid", planes)
            shares = ops.op("Concat", ops.op("Sub", ops.floats(1.0), second), second, axis=1)
        else:
            shares = ops.op("Softmax", ops.op("Transpose", planes, perm=[0, 2, 3, 1]), axis=-1)
            shares = ops.op("Transpose", shares, perm=[0, 3, 1, 2])
        best, ids = ops.best(shares, 1)
        whole = ops.op("Round", ops.op("Mul", best, ops.floats(255.0)))
        as_bytes = [ops.op("Cast", tensor, to=TensorProto.UINT8) for tensor in (ids, whole)]
        class_map, confidence = (ops.reshaped(tensor, 0, height, width) for tensor in as_bytes)
        return {"class_map": class_map, "confidence": confidence}

    def _enlarged(self, ops: Operators, planes: str, height: int, width: int) -> str:
        channels = 1 if self.binary else self.classes
        batch = ops.cut(ops.op("Shape", planes), 0, 0, 1)
        size = ops.op("Concat", batch, ops.ints(channels, height, width), axis=0)
        empty = ops.array(np.zeros(0, np.float32))
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}  # torch's align_corners=False
        return ops.op("Resize", planes, empty, empty, size, **how)

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same; OpenCV enlarges plane by plane with half-pixel centres too."""
        height, width = self.probe.input_hw
        raw = outputs[self.place]
        if self.chosen:
            ids = raw.reshape(len(raw), *raw.shape[-2:]).astype(np.uint8)
            return {"class_map": ids, "confidence": np.full_like(ids, 255)}
        planes = raw.astype(np.float32) if self.last else raw.astype(np.float32).transpose(0, 2, 3, 1)
        if planes.shape[1] != height:
            whole = [[cv2.resize(p, (width, height)) for p in image.transpose(2, 0, 1)] for image in planes]
            planes = np.array(whole, np.float32).transpose(0, 2, 3, 1)
        if self.binary:
            second = planes if reading.activation == "none" else sigmoid(planes)
            shares = np.concatenate([1 - second, second], axis=-1)
        else:
            shares = softmax(planes)
        whole_bytes = np.round(shares.max(axis=-1) * 255).astype(np.uint8)
        return {"class_map": shares.argmax(axis=-1).astype(np.uint8), "confidence": whole_bytes}
