"""ONNX operators by name (`Operators`): the few that prefixes and suffixes are made of, valid from opset 11 to 26."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


class Operators:
    """Collects nodes and constants. Every method takes and gives names of tensors.

    Squeeze, Unsqueeze and Split changed their inputs on the way: axes come and go by Reshape and Slice.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """One node with one output; its name."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def top_k(self, values: str, k: int, axis: int) -> tuple[str, str]:
        """The k largest along an axis, best first, equal ones by index: their values, their indices (int64)."""
        names = [f"top_{len(self.nodes)}", f"top_ids_{len(self.nodes)}"]
        self.nodes.append(helper.make_node("TopK", [values, self.ints(k)], names, axis=axis))
        return names[0], names[1]

    def best(self, values: str, axis: int) -> tuple[str, str]:
        """The largest along an axis, which stays with length 1, and its index (int64); of equal ones the first."""
        if self.opset < 18:
            best = self.op("ReduceMax", values, axes=[axis], keepdims=1)
        else:
            best = self.op("ReduceMax", values, self.ints(axis), keepdims=1)
        return best, self.op("ArgMax", values, axis=axis, keepdims=1)

    def array(self, value: npt.NDArray[Any]) -> str:
        """A constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def ints(self, *values: int) -> str:
        """A constant (n,) int64."""
        return self.array(np.array(values, np.int64))

    def floats(self, *values: float) -> str:
        """A constant (n,) float32."""
        return self.array(np.array(values, np.float32))

    def cut(self, tensor: str, axis: int, start: int, end: int | None = None, step: int = 1) -> str:
        """A slice along one axis."""
        stop = 2**62 if end is None else end
        return self.op("Slice", tensor, self.ints(start), self.ints(stop), self.ints(axis), self.ints(step))

    def reshaped(self, tensor: str, *shape: int) -> str:
        """Reshape; 0 keeps a dimension, -1 takes what is left."""
        return self.op("Reshape", tensor, self.ints(*shape))

    def float32(self, tensor: str) -> str:
        """Cast."""
        return self.op("Cast", tensor, to=TensorProto.FLOAT)

    def centre_to_corners(self, boxes: str) -> str:
        """(…, 4) centre x, y, width, height -> x1, y1, x2, y2; (N, K, 4)."""
        centres, half = self.cut(boxes, 2, 0, 2), self.op("Mul", self.cut(boxes, 2, 2, 4), self.floats(0.5))
        return self.op("Concat", self.op("Sub", centres, half), self.op("Add", centres, half), axis=2)
