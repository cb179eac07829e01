"""ONNX graph of an ensemble: its members' graphs behind one input, their probabilities averaged."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from foveal.export.external_data import MAX_INLINE_BYTES, aligned, packed, unpacked
from foveal.export.trace import BATCH
from foveal.packages.package import Graph, ModelPackage


def mean_graph(members: Sequence[ModelPackage], *, inline_bytes: int = MAX_INLINE_BYTES) -> Graph:
    """`images` (N, H, W, 3) uint8 -> `logits` (N, C) float32: log of the mean over members of softmax(logits / T).

    Args:
        members: two or more classifiers whose input, labels and opset are the same.
        inline_bytes: largest sum of weights inside the ONNX file; more go into a file of their own.

    Returns:
        The graph; the same members give the same bytes.
    """
    models, outside = _members_graphs(members)
    nodes, tensors = [], []
    for i, (member, model) in enumerate(zip(members, models, strict=True)):
        temperature = np.array(member.manifest.pipeline.calibration.temperature or 1.0, np.float32)
        tensors += [*model.graph.initializer, numpy_helper.from_array(temperature, f"temperature{i}")]
        nodes += _scaled_log_probabilities(i, model.graph)
    count = len(members)
    nodes += [
        helper.make_node("Concat", [f"row{i}" for i in range(count)], ["rows"], axis=0),  # (members, N, C)
        helper.make_node("ReduceLogSumExp", ["rows", "members_axis"], ["log_sum"], keepdims=0),
        helper.make_node("Sub", ["log_sum", "log_count"], ["logits"]),
    ]
    tensors += [
        numpy_helper.from_array(np.array([0], np.int64), "members_axis"),
        numpy_helper.from_array(np.array(np.log(count), np.float32), "log_count"),
    ]
    manifest = members[0].manifest
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, [BATCH, *manifest.preprocess.input_hw, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [BATCH, len(manifest.labels)])
    merged = helper.make_model(
        helper.make_graph(nodes, "mean", [images], [logits], tensors),
        functions=[function for model in models for function in model.functions],
        opset_imports=_opsets(models),
        ir_version=max(model.ir_version for model in models),
    )
    return packed(merged, outside, inline_bytes=inline_bytes)


def _members_graphs(members: Sequence[ModelPackage]) -> tuple[list[onnx.ModelProto], bytes]:
    """Every member's graph under names of its own; and the external data of all, one behind the other."""
    models, outside = [], b""
    for i, member in enumerate(members):
        graph = member.take_graph()
        outside += bytes(aligned(len(outside)) - len(outside)) if graph.weights else b""
        models.append(compose.add_prefix(unpacked(graph, start=len(outside)), prefix=f"member{i}/"))
        outside += graph.weights
    return models, outside


def _scaled_log_probabilities(i: int, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """A member's nodes between the common input and its row of log probabilities."""
    return [
        helper.make_node("Identity", ["images"], [graph.input[0].name]),
        *graph.node,
        helper.make_node("Div", [graph.output[0].name, f"temperature{i}"], [f"scaled{i}"]),
        helper.make_node("LogSoftmax", [f"scaled{i}"], [f"log{i}"], axis=-1),  # (N, C)
        helper.make_node("Unsqueeze", [f"log{i}", "members_axis"], [f"row{i}"]),  # (1, N, C)
    ]


def _opsets(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    """Every domain once, in its newest version; the standard one is the same for all."""
    versions: dict[str, int] = {}
    for entry in (entry for model in models for entry in model.opset_import):
        versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
    return [helper.make_opsetid(domain, number) for domain, number in sorted(versions.items())]
