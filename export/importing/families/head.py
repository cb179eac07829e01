"""Base class of heads (`Head`): one kind of outputs, as an ONNX suffix and as plain NumPy."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from foveal.export.importing.operators import Operators
from foveal.export.importing.reading import Reading

Array = npt.NDArray[Any]
Named = Sequence[tuple[str, Array]]  # outputs of the graph for two different images (or one), in the graph's order


@dataclass(frozen=True)
class Probe:
    """What the graph said to a probe: outputs hide their shapes in exports with dynamic axes."""

    outputs: Named
    input_hw: tuple[int, int]
    batch: int  # images of the probe; 0: the graph has no batch axis
    channels_last: bool

    @property
    def arrays(self) -> list[Array]:
        """Without names."""
        return [array for _, array in self.outputs]

    def anchors(self, *, strides: Sequence[int] = (8, 16, 32)) -> int:
        """Cells of the grids of these strides."""
        height, width = self.input_hw
        return sum((height // stride) * (width // stride) for stride in strides)

    def named(self, *names: str) -> int | None:
        """Index of the output that has one of these names; a path before it does not matter."""
        for index, (name, _) in enumerate(self.outputs):
            if name.split("/")[-1].split(":")[0].lower() in names:
                return index
        return None


class Head(ABC):
    """One kind of outputs. `suffix` and `answer` say the same thing twice, so that one proves the other.

    Attributes:
        name: in messages.
        task: what it answers.
        classes: columns of the class scores, as the probe showed them; labels must be as many.
    """

    name: ClassVar[str]
    task: ClassVar[str]

    def __init__(self, probe: Probe, classes: int) -> None:
        self.probe = probe
        self.classes = classes

    @classmethod
    @abstractmethod
    def of(cls, probe: Probe) -> "Head | None":
        """The head, if the outputs have its shapes."""

    def defaults(self) -> dict[str, Any]:
        """Fields of the reading that these outputs settle."""
        return {}

    @abstractmethod
    def suffix(self, ops: Operators, outputs: Sequence[str], reading: Reading, kept: Sequence[int]) -> dict[str, str]:
        """Nodes from the graph's outputs to the task's: name of the task's output -> name of a tensor.

        Args:
            ops: takes the nodes.
            outputs: names of the graph's outputs.
            reading: what they mean.
            kept: class columns that have a label, in order.
        """

    @abstractmethod
    def answer(self, outputs: Sequence[Array], reading: Reading, kept: Sequence[int]) -> Mapping[str, Array]:
        """The task's outputs, computed in NumPy from the graph's."""


def softmax(logits: Array) -> Array:
    """Over the last axis, float32."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return total


def sigmoid(logits: Array) -> Array:
    """Elementwise, float32."""
    with np.errstate(over="ignore"):
        done: Array = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return done


def corners(boxes: Array) -> Array:
    """(…, 4) centre x, y, width, height -> x1, y1, x2, y2."""
    centres, half = boxes[..., :2], boxes[..., 2:4] / 2
    return np.concatenate([centres - half, centres + half], axis=-1)


def best_of(scores: Array) -> tuple[Array, Array]:
    """(N, K, C) -> best score (N, K) and its column (N, K) int64."""
    return scores.max(axis=-1), scores.argmax(axis=-1).astype(np.int64)


def known_classes(ops: Operators, scores: str, ids: str, reading: Reading, count: int) -> dict[str, str]:
    """Class ids counted from 0; rows of a class without a label get score 0, which no threshold lets through."""
    if reading.class_offset:
        ids = ops.op("Sub", ids, ops.ints(reading.class_offset))
    below, above = ops.op("Less", ids, ops.ints(0)), ops.op("Greater", ids, ops.ints(count - 1))
    return {"scores": ops.op("Where", ops.op("Or", below, above), ops.floats(0.0), scores), "class_ids": ids}


def known_scores(scores: Array, ids: Array, count: int) -> Array:
    """The same in NumPy, of ids that are counted from 0 already."""
    return np.where((ids < 0) | (ids >= count), np.float32(0), scores)
