"""Verification of a package without torch: its graph, its batches and its golden results.

The service turns ready on `check_golden`, and `foveal verify` runs all three; the golden check goes through the WHOLE
pipeline, from the PNG's bytes to the rendered JSON.
"""

import json
from typing import Any

from foveal.errors import BadPackage, BatchMismatch, GoldenMismatch
from foveal.formats.entry import Entry, entry_object
from foveal.inference.pipeline import Pipeline, Predictor
from foveal.inference.session import Session
from foveal.options import Options
from foveal.packages.manifest import Tensor
from foveal.packages.package import Golden
from foveal.tasks import Prepared
from foveal.tasks.base import Outputs

DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(double)": "float64"}


def graph_tensors(session: Session) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and outputs as the graph itself declares them; an unnamed dynamic dimension is called '?'."""
    sides = (session.get_inputs(), session.get_outputs())
    inputs, outputs = (
        tuple(
            Tensor(name=node.name, dtype=DTYPES.get(node.type, node.type), shape=tuple(d or "?" for d in node.shape))
            for node in side
        )
        for side in sides
    )
    return inputs, outputs


def check_graph(predictor: Predictor) -> None:
    """The graph's inputs and outputs must be those of the manifest, and the first input its model input.

    Raises:
        BadPackage: with the tensor that differs.
    """
    spec, ref = predictor.spec, predictor.package.ref
    declared = (spec.inputs, spec.outputs)
    for kind, expected, got in zip(("input", "output"), declared, graph_tensors(predictor.session), strict=True):
        if expected != got:
            raise BadPackage(f"{ref}: {kind}s of model.onnx: expected {_listed(expected)}, got {_listed(got)}")
    model_input = ("uint8", (*spec.preprocess.input_hw, 3))
    if (spec.inputs[0].dtype, spec.inputs[0].shape[1:]) != model_input:
        raise BadPackage(f"{ref}: expected as first input {model_input}, got {_listed(spec.inputs)}")


def check_batches(predictor: Predictor) -> None:
    """The proofs in one batch, repeated to N = 2 and N = max_batch, must give what each gives alone.

    Raises:
        BatchMismatch: with the batch size, the image and what differs.
    """
    spec = predictor.spec
    options = predictor.options()
    tolerance = predictor.manifest.golden_tolerance(predictor.provider)
    golden = predictor.package.proofs
    prepared = [predictor.prepare(item.image) for item in golden]
    alone = [golden_entry(predictor, item.name, item.image) for item in golden]
    for size in sorted({min(2, spec.max_batch), spec.max_batch}):
        order = [i % len(golden) for i in range(size)]
        outputs = predictor.infer([prepared[i] for i in order], [options] * size)
        for i, raw in zip(order, outputs, strict=True):
            got = _entry(predictor, golden[i].name, raw, prepared[i], options)
            if found := predictor.task.differences(alone[i], got, tolerance):
                where = f"{predictor.package.ref}, a batch of {size}, golden/{golden[i].name}.png"
                raise BatchMismatch(f"{where}: expected what it gives alone: {'; '.join(found[:3])}")


def check_golden(predictor: Predictor) -> None:
    """Reproduce every golden image that proves (`ModelPackage.proofs`).

    Raises:
        GoldenMismatch: with the package, the image and what differs.
    """
    tolerance = predictor.manifest.golden_tolerance(predictor.provider)
    for golden in predictor.package.proofs:
        try:
            got = golden_entry(predictor, golden.name, golden.image)
            found = predictor.task.differences(_expected(golden), got, tolerance)
        except Exception as error:  # the package wrote the graph and the expected entry: anything may be wrong in them
            found = [f"{type(error).__name__}: {error}"[:300]]
        if found:
            raise GoldenMismatch(
                f"{predictor.package.ref} on {predictor.provider}, golden/{golden.name}.png: {'; '.join(found[:3])}"
            )


def golden_entry(pipeline: Pipeline, name: str, image: bytes) -> dict[str, Any]:
    """The JSON object that the pipeline gives for one golden image under the manifest's default options."""
    options = pipeline.options()
    prepared = pipeline.prepare(image)
    return _entry(pipeline, name, pipeline.infer([prepared], [options])[0], prepared, options)


def _entry(pipeline: Pipeline, name: str, outputs: Outputs, prepared: Prepared, options: Options) -> dict[str, Any]:
    result = pipeline.finish(outputs, prepared, options)
    return entry_object(Entry(f"{name}.png", result, prepared.exif_orientation), pipeline.task, options)


def _expected(golden: Golden) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(golden.expected)
    return loaded


def _listed(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{t.name} {t.dtype} [{', '.join(map(str, t.shape))}]" for t in tensors)
