"""ONNX files with their weights inside, or beside them as external data (`packed`).

A protobuf message ends at 2 GiB, so weights beyond that go into a second file, model.onnx.data, to which the first one
refers by offset and length (https://onnx.ai/onnx/repo-docs/ExternalData.html).
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo

from foveal.packages.package import MODEL, WEIGHTS, Graph

MAX_INLINE_BYTES = 2**31 - 2**26  # of weights; nodes, names and small tensors need room in the message too
SMALLEST = 1024  # bytes; smaller tensors stay inside: shapes and axes, which shape inference reads
ALIGNMENT = 4096


def packed(
    model: onnx.ModelProto, weights: bytes = b"", *, inline_bytes: int = MAX_INLINE_BYTES, full_check: bool = True
) -> Graph:
    """Check and serialise a graph; the same graph gives the same bytes.

    Args:
        model: the graph; its large weights are moved out of it when they do not fit.
        weights: external data that it refers to already.
        inline_bytes: largest sum of weights to keep inside.
        full_check: infer all shapes too; ONNX' own inference refuses some graphs that run.

    Raises:
        onnx.checker.ValidationError: it is no valid graph.
    """
    inside = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if inside > inline_bytes:
        weights = _move_out(model, weights)
    if not weights:
        onnx.checker.check_model(model, full_check=full_check)
    graph = Graph(bytes(model.SerializeToString(deterministic=True)), weights)
    if weights:
        _check_files(graph, full_check)
    return graph


def unpacked(graph: Graph, *, start: int = 0) -> onnx.ModelProto:
    """The graph as a message; its weights stay outside, and are said to begin `start` bytes into their file."""
    model = onnx.load_from_string(graph.model)
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            place = ExternalDataInfo(tensor)
            set_external_data_at(tensor, start + int(place.offset or 0), int(place.length or 0))
    return model


def set_external_data_at(tensor: onnx.TensorProto, offset: int, length: int) -> None:
    """Let a tensor refer to a part of model.onnx.data."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", WEIGHTS), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def aligned(size: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _move_out(model: onnx.ModelProto, weights: bytes) -> bytes:
    """Move large tensors behind the weights that are outside already; returns all of them."""
    chunks, end = [weights], len(weights)
    for tensor in model.graph.initializer:
        if len(content := tensor.raw_data) >= SMALLEST:
            start = aligned(end)
            chunks += [bytes(start - end), content]
            end = start + len(content)
            set_external_data_at(tensor, start, len(content))
    return b"".join(chunks)


def _check_files(graph: Graph, full_check: bool) -> None:
    """The checker reads external data's sizes from a folder; an empty file of that size is enough."""
    with TemporaryDirectory(prefix="foveal-") as folder:
        Path(folder, MODEL).write_bytes(graph.model)
        with Path(folder, WEIGHTS).open("wb") as file:
            file.truncate(len(graph.weights))
        onnx.checker.check_model(str(Path(folder, MODEL)), full_check=full_check)
