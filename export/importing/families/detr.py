"""Heads of the DETR family, and of detectors whose selection is inside the file (torchvision, RT-DETR's own export)."""

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
    sigmoid,
    softmax,
)
from foveal.export.importing.operators import Operators
from foveal.export.importing.reading import Reading

LOGITS = ("logits", "pred_logits", "labels", "scores", "cls", "class_logits")
BOXES = ("pred_boxes", "boxes", "dets", "bboxes", "box")


class DetrHead(Head):
    """(N, Q, 4) centre x, y, width, height as fractions of the model input, and (N, Q, C') class logits.

    softmax: the last column is "no object" and has no label (DETR: Carion et al., ECCV 2020; Hugging Face's
    `post_process_object_detection`). sigmoid: the Q best pairs of query and class (Deformable DETR, RT-DETR, RF-DETR).
    """

    name = "DETR (N, Q, 4) and (N, Q, C)"
    task = "object-detection"

    def __init__(self, probe: Probe, classes: int, boxes: int, logits: int) -> None:
        super().__init__(probe, classes)
        self.boxes, self.logits = boxes, logits
        self.queries = probe.arrays[boxes].shape[1]

    @classmethod
    def of(cls, probe: Probe) -> "DetrHead | None":
        """By names where both could be boxes: four columns of classes have their shape."""
        rank3 = [i for i, array in enumerate(probe.arrays) if array.ndim == 3]
        pairs = [(b, c) for b in rank3 for c in rank3 if b != c and _fit(probe.arrays[b], probe.arrays[c])]
        named = probe.named(*BOXES), probe.named(*LOGITS)
        if named in pairs:
            boxes, logits = pairs[pairs.index(named)]
        elif len({b for b, _ in pairs}) == 1:
            boxes, logits = pairs[0]  # the last layer's come first; others are the training's own
        else:
            return None
        return cls(probe, probe.arrays[logits].shape[2], boxes, logits)

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Probabilities, the best class or the best pairs, corners in pixels."""
        height, width = self.probe.input_hw
        logits, boxes = ops.float32(outputs[self.logits]), ops.float32(outputs[self.boxes])
        size = ops.floats(width, height, width, height)
        boxes = ops.op("Mul", ops.centre_to_corners(boxes), size)
        if reading.activation == "softmax":
            scores = ops.op("Gather", ops.op("Softmax", logits, axis=-1), ops.ints(*kept), axis=2)
            best, ids = ops.best(scores, 2)
            return {"boxes": boxes, "scores": ops.reshaped(best, 0, -1), "class_ids": ops.reshaped(ids, 0, -1)}
        scores = ops.op("Gather", logits, ops.ints(*kept), axis=2)
        if reading.activation == "sigmoid":
            scores = ops.op("Sigmoid", scores)
        best, pairs = ops.top_k(ops.reshaped(scores, 0, -1), self.queries, axis=1)  # (N, Q)
        queries = ops.op("Div", pairs, ops.ints(len(kept)))
        class_ids = ops.op("Sub", pairs, ops.op("Mul", queries, ops.ints(len(kept))))
        rows = ops.op("Expand", ops.reshaped(queries, 0, -1, 1), ops.ints(1, 1, 4))
        return {"boxes": ops.op("GatherElements", boxes, rows, axis=1), "scores": best, "class_ids": class_ids}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        height, width = self.probe.input_hw
        logits = outputs[self.logits].astype(np.float32)
        boxes = corners(outputs[self.boxes].astype(np.float32)) * np.array([width, height] * 2, np.float32)
        if reading.activation == "softmax":
            scores, class_ids = best_of(softmax(logits)[..., list(kept)])
            return {"boxes": boxes, "scores": scores, "class_ids": class_ids}
        scores = logits[..., list(kept)]
        scores = sigmoid(scores) if reading.activation == "sigmoid" else scores
        flat = scores.reshape(len(scores), -1)
        pairs = np.argsort(-flat, axis=1, kind="stable")[:, : self.queries]
        rows = (pairs // len(kept))[..., None]
        return {
            "boxes": np.take_along_axis(boxes, rows, axis=1),
            "scores": np.take_along_axis(flat, pairs, axis=1),
            "class_ids": (pairs % len(kept)).astype(np.int64),
        }


def _fit(boxes: Array, logits: Array) -> bool:
    """Boxes for the queries of these logits, as fractions."""
    return (
        boxes.shape[2] == 4 and boxes.shape[:2] == logits.shape[:2] and bool(((boxes >= -0.5) & (boxes <= 1.5)).all())
    )


class SelectedHead(Head):
    """Boxes (M, 4) or (N, M, 4) in pixels of the model input, scores and class ids of the same rows: nothing to select.

    torchvision's detectors (resize, threshold and NMS inside; classes from 1, 0 is the background) and RT-DETR's own
    export (`orig_target_sizes` gets the model input's size).
    """

    name = "selected boxes, scores and classes"
    task = "object-detection"

    def __init__(self, probe: Probe, boxes: int, scores: int, class_ids: int) -> None:
        super().__init__(probe, 0)
        self.places = boxes, scores, class_ids
        self.batched = probe.arrays[boxes].ndim == 3

    @classmethod
    def of(cls, probe: Probe) -> "SelectedHead | None":
        """By ranks and dtypes: integers are classes."""
        arrays = probe.arrays
        for boxes, array in enumerate(arrays):
            if array.ndim not in (2, 3) or array.shape[-1] != 4:
                continue
            rows = [i for i, other in enumerate(arrays) if i != boxes and other.shape == array.shape[:-1]]
            ids = [i for i in rows if arrays[i].dtype.kind == "i"]
            scores = [i for i in rows if arrays[i].dtype.kind == "f"]
            if len(ids) == 1 and len(scores) == 1:
                return cls(probe, boxes, scores[0], ids[0])
        return None

    def defaults(self) -> dict[str, Any]:
        """torchvision counts the background as class 0."""
        return {} if self.batched else {"class_offset": 1}

    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """A batch axis, class ids from 0."""
        boxes, scores, ids = (outputs[place] for place in self.places)
        boxes, scores = ops.float32(boxes), ops.float32(scores)
        ids = ops.op("Cast", ids, to=TensorProto.INT64)
        if not self.batched:
            boxes, scores, ids = ops.reshaped(boxes, 1, -1, 4), ops.reshaped(scores, 1, -1), ops.reshaped(ids, 1, -1)
        return {"boxes": boxes, **known_classes(ops, scores, ids, reading, len(kept))}

    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The same."""
        boxes, scores, ids = (outputs[place] if self.batched else outputs[place][None] for place in self.places)
        ids = ids.astype(np.int64) - reading.class_offset
        scores = known_scores(scores.astype(np.float32), ids, len(kept))
        return {"boxes": boxes.astype(np.float32), "scores": scores, "class_ids": ids}
