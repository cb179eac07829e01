"""Small foreign ONNX files with the inputs and outputs of real exports, whose answers depend on every pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


@dataclass
class Graph:
    """Builder of one file. Weights are drawn from a seed."""

    input_hw: tuple[int | None, int | None] = (64, 96)
    batch: int | str | None = "batch"
    opset: int = 17
    channels_last: bool = False
    dtype: str = "float32"
    metadata: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.image = "pixels"
        if self.dtype != "float32":
            self.image = self.op("Cast", self.image, to=TensorProto.FLOAT)
        if self.batch is None:
            self.image = self.op("Reshape", self.image, self.const([1, 3, *self.input_hw]))
        if self.channels_last:
            self.image = self.op("Transpose", self.image, perm=[0, 3, 1, 2])

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """One node; the name of its output."""
        name = output or f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def const(self, value: Any, dtype: Any = np.int64) -> str:
        """A constant."""
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def patches(self, channels: int, stride: int, scale: float = 1.0, source: str | None = None, depth: int = 3) -> str:
        """Convolution of patches: (N, channels, H / stride, W / stride)."""
        size = min(stride, 8)
        weights = self.random.normal(0, scale / (size * np.sqrt(depth)), (channels, depth, size, size))
        filters, bias = self.const(weights, np.float32), self.const(self.random.normal(0, 0.1, channels), np.float32)
        return self.op("Conv", source or self.image, filters, bias, strides=[stride] * 2)

    def save(self, path: Path, outputs: Mapping[str, Sequence[int | str]], **types: int) -> Path:
        """Write the file; `types` are of outputs that are not float32."""
        sides = list(self.input_hw)
        shape: list[int | str | None] = [*sides, 3] if self.channels_last else [3, *sides]
        named = [side or f"side{i}" for i, side in enumerate(shape)]
        dims = named if self.batch is None else [self.batch, *named]
        graph = helper.make_graph(
            self.nodes,
            "foreign",
            [helper.make_tensor_value_info("pixels", TYPES[self.dtype], dims)],
            [helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), s) for n, s in outputs.items()],
            self.tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        helper.set_model_props(model, dict(self.metadata))
        onnx.save(model, path)
        return path


def grid(hw: tuple[int, int], stride: int) -> Array:
    """(h w, 2) x and y of cells."""
    y, x = np.mgrid[: hw[0] // stride, : hw[1] // stride]
    return np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)


def yolo(path: Path, kind: str = "v8", classes: int = 3, **fields: Any) -> Path:
    """A detector with the raw outputs of Ultralytics v8, YOLOv5 or YOLOX."""
    hw = (64, 96)
    graph = Graph(**{"input_hw": hw, **fields})
    seen = graph.op("Mul", graph.image, graph.const(1 / 255 if kind == "yolox" else 1, np.float32))
    anchors, extra = (3, 1) if kind == "v5" else (1, 0 if kind == "v8" else 1)
    rows = []
    for stride in (8, 16, 32):
        cells = (hw[0] // stride) * (hw[1] // stride)
        for _ in range(anchors):
            planes = graph.patches(4 + extra + classes, stride, 3.0, source=seen)
            flat = graph.op("Reshape", planes, graph.const([0, 4 + extra + classes, cells]))
            raw = graph.op("Transpose", flat, perm=[0, 2, 1])  # (N, cells, 4 + …)
            rows.append(_decoded(graph, raw, grid(hw, stride), stride, kind))
    merged = graph.op("Concat", *rows, axis=1)
    count = sum((hw[0] // s) * (hw[1] // s) for s in (8, 16, 32)) * anchors
    if kind == "v8":
        graph.op("Transpose", merged, output="output0", perm=[0, 2, 1])
        return graph.save(path, {"output0": ["batch", 4 + classes, count]})
    if kind == "yolox":  # sizes are logarithms of strides
        shift = graph.const(np.array([0, 0, 1.5, 1.5, *[0] * (1 + classes)]), np.float32)
        merged = graph.op("Add", merged, shift)
    graph.op("Identity", merged, output="output0")
    return graph.save(path, {"output0": ["batch", count, 5 + classes]})


def _decoded(graph: Graph, raw: str, cells: Array, stride: int, kind: str) -> str:
    """Boxes and probabilities of one grid."""

    def cut(start: int, end: int) -> str:
        return graph.op("Slice", raw, graph.const([start]), graph.const([end]), graph.const([2]))

    centre, size = graph.op("Sigmoid", cut(0, 2)), graph.op("Tanh", cut(2, 4))
    scores = graph.op("Sigmoid", graph.op("Sub", cut(4, 100), graph.const([2.0], np.float32)))
    if kind == "yolox":
        return graph.op("Concat", centre, size, scores, axis=2)
    step = graph.const([stride], np.float32)
    centre = graph.op("Mul", graph.op("Add", centre, graph.const(cells[None], np.float32)), step)
    size = graph.op("Mul", graph.op("Exp", size), graph.const([5 * stride], np.float32))
    return graph.op("Concat", centre, size, scores, axis=2)


def end_to_end(path: Path, offset: int = 0, **fields: Any) -> Path:
    """(N, 24, 6): the 24 cells of the middle grid as x1, y1, x2, y2, score, class (of 3)."""
    hw, stride = (64, 96), 16
    graph = Graph(**{"input_hw": hw, **fields})
    flat = graph.op("Reshape", graph.patches(5, stride, 3.0), graph.const([0, 5, 24]))
    raw = graph.op("Transpose", flat, perm=[0, 2, 1])
    x, y = (grid(hw, stride) * stride).T
    corners = np.stack([x, y, x + 20, y + 20], -1)[None]
    moved = graph.op("Slice", raw, graph.const([0]), graph.const([4]), graph.const([2]))
    boxes = graph.op("Add", graph.op("Mul", graph.op("Tanh", moved), graph.const(2.0, np.float32)), _c(graph, corners))
    score = graph.op("Sigmoid", graph.op("Slice", raw, graph.const([4]), graph.const([5]), graph.const([2])))
    kind = graph.op("Add", graph.op("Mul", score, graph.const(0.0, np.float32)), _c(graph, _classes(24) + offset))
    graph.op("Concat", boxes, score, kind, axis=2, output="output0")
    return graph.save(path, {"output0": ["batch", 24, 6]})


def _c(graph: Graph, value: Array) -> str:
    return graph.const(value, np.float32)


def _classes(count: int) -> Array:
    return (np.arange(count) % 3)[None, :, None]


def detr(path: Path, columns: int = 4, names: tuple[str, str] = ("logits", "pred_boxes"), **fields: Any) -> Path:
    """24 queries: class logits (N, 24, columns) and boxes (N, 24, 4) as fractions."""
    graph = Graph(**{"input_hw": (64, 96), **fields})
    flat = graph.op("Reshape", graph.patches(4 + columns, 16, 4.0), graph.const([0, 4 + columns, 24]))
    raw = graph.op("Transpose", flat, perm=[0, 2, 1])
    boxes = graph.op("Slice", raw, graph.const([0]), graph.const([4]), graph.const([2]))
    graph.op("Slice", raw, graph.const([4]), graph.const([100]), graph.const([2]), output=names[0])
    graph.op("Sigmoid", boxes, output=names[1])
    return graph.save(path, {names[0]: ["batch", 24, columns], names[1]: ["batch", 24, 4]})


def torchvision_detector(path: Path, **fields: Any) -> Path:
    """Boxes (M, 4), labels (M,) from 1, scores (M,), of one image without a batch axis."""
    hw, stride = (64, 96), 16
    graph = Graph(**{"input_hw": hw, "batch": None, **fields})
    raw = graph.op("Transpose", graph.op("Reshape", graph.patches(5, stride, 3.0), graph.const([5, 24])), perm=[1, 0])
    x, y = (grid(hw, stride) * stride).T
    corners = np.stack([x, y, x + 20, y + 20], -1)
    moved = graph.op("Slice", raw, graph.const([0]), graph.const([4]), graph.const([1]))
    boxes = graph.op("Add", graph.op("Mul", graph.op("Tanh", moved), graph.const(2.0, np.float32)), _c(graph, corners))
    score = graph.op("Slice", raw, graph.const([4]), graph.const([5]), graph.const([1]))
    score = graph.op("Reshape", graph.op("Sigmoid", score), graph.const([-1]))
    strong = graph.op("Greater", score, graph.const(0.05, np.float32))
    graph.op("Compress", boxes, strong, axis=0, output="boxes")
    graph.op("Compress", graph.const(_classes(24)[0, :, 0] + 1), strong, axis=0, output="labels")
    graph.op("Compress", score, strong, axis=0, output="scores")
    outputs: dict[str, Sequence[int | str]] = {"boxes": ["m", 4], "labels": ["m"], "scores": ["m"]}
    return graph.save(path, outputs, labels=TensorProto.INT64)


def classifier(path: Path, classes: int = 4, ending: str = "", gain: float = 1.0, **fields: Any) -> Path:
    """(N, classes): logits, or with ending Softmax or Sigmoid probabilities."""
    graph = Graph(**{"input_hw": (32, 32), **fields})
    scaled = graph.op("Mul", graph.image, graph.const(gain, np.float32))
    seen = graph.op("Relu", graph.patches(16, 4, 2.0, source=scaled))
    pooled = graph.op("Reshape", graph.op("GlobalAveragePool", seen), graph.const([0, 16]))
    head = graph.const(graph.random.normal(0, 1.5, (16, classes)), np.float32)
    row = graph.op("MatMul", pooled, head)
    graph.op(ending or "Identity", row, output="output", **({"axis": 1} if ending == "Softmax" else {}))
    return graph.save(path, {"output": ["batch", classes]})


def semantic(path: Path, classes: int = 3, stride: int = 4, **fields: Any) -> Path:
    """(N, classes, H / stride, W / stride) logits."""
    graph = Graph(**{"input_hw": (64, 96), **fields})
    planes = (
        graph.patches(classes, stride, 3.0) if stride > 1 else graph.op("Conv", graph.image, _pixelwise(graph, classes))
    )
    if graph.channels_last:
        planes = graph.op("Transpose", planes, perm=[0, 2, 3, 1])
    graph.op("Identity", planes, output="output")
    return graph.save(path, {"output": ["batch", "c", "h", "w"]})


def _pixelwise(graph: Graph, classes: int) -> str:
    return graph.const(graph.random.normal(0, 3, (classes, 3, 1, 1)), np.float32)
