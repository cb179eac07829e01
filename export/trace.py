"""Tracing of a PyTorch module to an ONNX graph: quiet, reproducible, without anything of the machine that did it."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from foveal.export.external_data import MAX_INLINE_BYTES, packed
from foveal.packages.package import Graph

OPSET = 20
BATCH = "batch"  # name of every dynamic batch dimension
ROWS = "rows"  # name of an output's first dimension when it depends on the images


def trace(
    module: nn.Module,
    example: Mapping[str, Tensor],
    outputs: Sequence[str],
    *,
    translations: dict[Callable[..., Any], Callable[..., Any]] | None = None,
    inline_bytes: int = MAX_INLINE_BYTES,
) -> Graph:
    """Export through torch.export (the modern exporter) with a dynamic batch.

    Args:
        module: takes the example's tensors in that order; in eval mode.
        example: input name -> tensor. The first axis of each tensor is the batch, which must be at least 2 here
            (torch.export bakes sizes 0 and 1 into the graph); a scalar is a plain input.
        outputs: names of the module's outputs, in order.
        translations: custom torch operators -> onnxscript functions.
        inline_bytes: largest sum of weights inside the ONNX file; more go into a file of their own.

    Returns:
        The graph, of opset 20; the same weights give the same bytes.
    """
    assert not module.training
    batch = torch.export.Dim(BATCH)
    shapes = tuple({0: batch} if tensor.ndim else {} for tensor in example.values())
    with _quiet():
        # In two steps: given a module, torch.onnx.export tries other ways to capture it when the first fails, and may
        # end with a graph whose batch is baked in. Here the first failure is the error that is seen.
        captured = torch.export.export(module, tuple(example.values()), dynamic_shapes=shapes, strict=False)
        program = torch.onnx.export(
            captured,
            dynamo=True,
            external_data=False,
            input_names=list(example),
            output_names=list(outputs),
            opset_version=OPSET,
            custom_translation_table=translations,
        )
    assert program is not None
    return packed(_named_axes(_anonymous(program.model_proto)), inline_bytes=inline_bytes)


def _named_axes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Call the dynamic first axes `batch` (known from the inputs) and `rows` (known when the graph has run)."""
    batch = {value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input if _rank(value)}
    assert len(batch) == 1, f"one batch axis, got {batch}"
    for value in (*model.graph.input, *model.graph.output):
        if _rank(value) and (axis := value.type.tensor_type.shape.dim[0]).dim_param:
            axis.dim_param = BATCH if axis.dim_param in batch else ROWS
    return model


def _rank(value: onnx.ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def opset_of(graph: Graph) -> int:
    """Version of the standard operator set that a graph asks for."""
    return int(next(entry.version for entry in onnx.load_from_string(graph.model).opset_import if entry.domain == ""))


@contextlib.contextmanager
def _quiet() -> Any:
    """The exporter talks to stdout, to loggers and in warnings about its own insides; its exceptions still come."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without stack traces (they hold file names of this machine) and intermediate shapes (ORT infers them)."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for body in (model.graph, *model.functions):
        for item in body.node:
            del item.metadata_props[:]
            item.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    return model
