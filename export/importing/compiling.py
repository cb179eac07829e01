"""Compiling of a foreign graph (`compiled`): prefix, the graph as it is and suffix, joined into one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper

from foveal.errors import BadModelFile
from foveal.export.external_data import MAX_INLINE_BYTES, packed
from foveal.export.importing.families.head import Head, Probe
from foveal.export.importing.foreign import Foreign, one_line
from foveal.export.importing.operators import Operators
from foveal.export.importing.reading import Reading
from foveal.inference.session import Session
from foveal.packages.package import Graph

Array = npt.NDArray[Any]

PREFIX = "foreign/"
BATCH = "batch"
PROBED_BATCH = 16  # largest that is tried, proved and allowed
ONE_BY_ONE = "batches do not answer as their images do alone, so it runs one image at a time"
BATCH_ATOL = 1e-4  # rows of a batch against the same images alone, relative to the largest value
OUTPUTS = {  # of the tasks: name -> dtype, dimensions after the batch (None: any)
    "boxes": (TensorProto.FLOAT, (None, 4)),
    "scores": (TensorProto.FLOAT, (None,)),
    "class_ids": (TensorProto.INT64, (None,)),
    "coefficients": (TensorProto.FLOAT, (None, None)),
    "prototypes": (TensorProto.FLOAT, (None, None, None)),
    "logits": (TensorProto.FLOAT, (None,)),
    "class_map": (TensorProto.UINT8, (None, None)),
    "confidence": (TensorProto.UINT8, (None, None)),
}
ONNX_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE}


@dataclass(frozen=True)
class Probed:
    """What running a foreign graph has shown."""

    probe: Probe
    max_batch: int
    copies: int  # how often the image is repeated for a graph of a fixed batch
    notes: tuple[str, ...]


def fed(foreign: Foreign, reading: Reading, model_inputs: npt.NDArray[np.uint8]) -> Array:
    """(N, H, W, 3) uint8 RGB -> what the foreign graph reads, computed in NumPy."""
    values: Array = model_inputs[..., :: 1 if reading.colour == "rgb" else -1]
    if foreign.images.dtype != "uint8":
        values = reading.normalised(model_inputs).astype(foreign.images.dtype)
    if not foreign.images.channels_last:
        values = values.transpose(0, 3, 1, 2)
    copies = foreign.images.batch or 1
    return np.ascontiguousarray(np.repeat(values, copies, axis=0) if len(values) == 1 else values)


def probe(foreign: Foreign, session: Session, reading: Reading) -> Probed:
    """Run a foreign graph on one image and on batches; its outputs' shapes, and which batches it takes.

    Raises:
        BadModelFile: it does not run on one image of the model input's size.
    """
    images = np.random.default_rng(0).integers(0, 256, (PROBED_BATCH, *reading.input_size, 3), np.uint8)
    images[1::2] = images[1::2] // 4  # dark ones: rows that ought to differ
    copies = foreign.images.batch or 1
    one = foreign.run(session, fed(foreign, reading, images[:1]))
    names = [node.name for node in session.get_outputs()]
    batch = 0 if foreign.images.batch == 0 else 1
    shown = one if copies == 1 else [array[: len(array) // copies] for array in one]
    found = Probe(list(zip(names, shown, strict=True)), reading.input_size, batch, foreign.images.channels_last)
    if foreign.images.batch is not None:
        notes = (
            (f"the file has a fixed batch of {copies}; every image is computed {copies} times",) if copies > 1 else ()
        )
        return Probed(found, 1, copies, notes)
    second = foreign.run(session, fed(foreign, reading, images[1:2]))
    for size in (PROBED_BATCH, 2):
        try:
            rows = foreign.run(session, fed(foreign, reading, images[:size]))
        except BadModelFile:
            continue
        if all(_same_rows(array, a, b, size) for array, a, b in zip(rows, one, second, strict=True)):
            return Probed(found, size, 1, ())
    return Probed(found, 1, 1, (ONE_BY_ONE,))


def _same_rows(rows: Array, first: Array, second: Array, size: int) -> bool:
    """Whether the first two rows of a batch are those of single runs."""
    if len(rows) != size or rows[0].shape != first[0].shape:
        return False
    together, alone = rows[:2].astype(np.float64), np.concatenate([first, second]).astype(np.float64)
    scale = max(1.0, float(np.abs(alone).max(initial=0.0)))
    fraction = float((np.abs(together - alone) > BATCH_ATOL * scale).mean()) if alone.size else 0.0
    return fraction <= 1e-3  # near ties of a selection inside the graph may swap


def compiled(
    foreign: Foreign,
    probed: Probed,
    head: Head,
    reading: Reading,
    kept: Sequence[int],
    *,
    inline_bytes: int = MAX_INLINE_BYTES,
) -> Graph:
    """`images` (N, H, W, 3) uint8 -> the outputs of the head's task.

    Args:
        foreign: the file.
        probed: what it showed.
        head: what its outputs are.
        reading: how it wants its image.
        kept: class columns that have a label.
        inline_bytes: largest sum of weights inside model.onnx.

    Raises:
        BadModelFile: the joined graph is not valid.
    """
    inner = onnx.ModelProto()
    inner.CopyFrom(foreign.model)
    del inner.graph.value_info[:]  # shapes of other sizes may stand there
    inner = compose.add_prefix(inner, prefix=PREFIX)
    before, after = Operators(foreign.opset), Operators(foreign.opset)
    prefix(before, foreign, probed, reading, output=inner_name(inner, foreign.images.name))
    outputs = [output.name for output in inner.graph.output]
    if probed.copies > 1:
        outputs = [after.cut(name, 0, 0, 1) for name in outputs]
    answers = head.suffix(after, outputs, reading, kept)
    for name, tensor in answers.items():
        after.op("Identity", tensor, output=name)
    nodes = [*_named(before, "prefix/").nodes, *inner.graph.node, *_named(after, "suffix/", keep=answers).nodes]
    tensors = [*before.constants, *inner.graph.initializer, *after.constants]
    batch = BATCH if probed.max_batch > 1 else 1
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, [batch, *reading.input_size, 3])
    results = [_result(name, batch) for name in answers]
    graph = helper.make_graph(nodes, "imported", [images], results, tensors)
    graph.sparse_initializer.extend(inner.graph.sparse_initializer)
    graph.quantization_annotation.extend(inner.graph.quantization_annotation)
    opsets = {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in inner.opset_import}
    model = helper.make_model(
        graph,
        functions=inner.functions,
        opset_imports=[helper.make_opsetid(domain, opsets[domain]) for domain in sorted(opsets)],
        ir_version=max(foreign.model.ir_version, 8),
        producer_name="foveal import",
    )
    try:
        return packed(model, foreign.weights, inline_bytes=inline_bytes, full_check=False)
    except onnx.checker.ValidationError as error:
        raise BadModelFile(f"{foreign.name}: {one_line(error)}") from None


def inner_name(inner: onnx.ModelProto, name: str) -> str:
    """An input's name behind the prefix."""
    return next(str(value.name) for value in inner.graph.input if value.name in (name, PREFIX + name))


def prefix(ops: Operators, foreign: Foreign, probed: Probed, reading: Reading, *, output: str) -> None:
    """Nodes from `images` to the foreign graph's inputs: `fed` in ONNX."""
    values = "images"
    if reading.colour == "bgr":
        values = ops.op("Gather", values, ops.ints(2, 1, 0), axis=3)
    if foreign.images.dtype != "uint8":
        values = _normalised(ops, values, reading, foreign.images.dtype)
    if not foreign.images.channels_last:
        values = ops.op("Transpose", values, perm=[0, 3, 1, 2])
    if foreign.images.batch == 0:
        values = ops.reshaped(values, *_without_batch(foreign, reading))
    if probed.copies > 1:
        values = ops.op("Expand", values, ops.ints(probed.copies, 1, 1, 1))
    ops.op("Identity", values, output=output)
    for name in foreign.size_inputs:
        height, width = reading.input_size
        count = ops.cut(ops.op("Shape", "images"), 0, 0, 1)
        shape = ops.op("Concat", count, ops.ints(2), axis=0)
        ops.op("Expand", ops.array(np.array([[width, height]], np.int64)), shape, output=PREFIX + name)


def _normalised(ops: Operators, values: str, reading: Reading, dtype: str) -> str:
    """`Reading.normalised` in ONNX, in the dtype that the graph reads."""
    values = ops.float32(values)
    if reading.scale != 1:
        values = ops.op("Div", values, ops.floats(1 / reading.scale))
    if any(reading.mean):
        values = ops.op("Sub", values, ops.floats(*reading.mean))
    if any(value != 1 for value in reading.std):
        values = ops.op("Div", values, ops.floats(*reading.std))
    return values if dtype == "float32" else ops.op("Cast", values, to=ONNX_TYPES[dtype])


def _without_batch(foreign: Foreign, reading: Reading) -> tuple[int, int, int]:
    height, width = reading.input_size
    return (height, width, 3) if foreign.images.channels_last else (3, height, width)


def _result(name: str, batch: int | str) -> onnx.ValueInfoProto:
    dtype, dims = OUTPUTS[name]
    return helper.make_tensor_value_info(name, dtype, [batch, *(f"{name}_{i}" for i, _ in enumerate(dims, 1))])


def _named(ops: Operators, start: str, *, keep: Mapping[str, object] | None = None) -> Operators:
    """The same nodes with names of their own, so that two sets do not meet."""
    own = {tensor.name for tensor in ops.constants} | {name for node in ops.nodes for name in node.output}
    own -= {name for name in own if name.startswith(PREFIX) or name in (keep or ())}
    for node in ops.nodes:
        node.name = start + node.output[0]
        for side in (node.input, node.output):
            side[:] = [start + name if name in own else name for name in side]
    for tensor in ops.constants:
        tensor.name = start + tensor.name
    return ops
