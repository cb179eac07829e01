"""Import of one file (`import_model`): read, compile, prove, describe, and only then write a package."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from foveal.errors import BadPackage, BadRequest, BatchMismatch, ImportMismatch
from foveal.export.card import card
from foveal.export.importing.answers import expect_low_scores, prove_reference
from foveal.export.importing.compiling import ONE_BY_ONE, compiled
from foveal.export.importing.labels import columns_of
from foveal.export.importing.plan import Plan, Request, plan
from foveal.export.importing.proof.graph import prove_graph, version_of
from foveal.export.importing.proof.search import spec_of
from foveal.export.proof.probes import drawings, probes
from foveal.export.writing import Target, example_images, golden_files, write_verified
from foveal.imaging.decode import Decoded
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import SessionSettings, open_session
from foveal.inference.verify import graph_tensors
from foveal.packages import manifest as manifests
from foveal.packages.manifest import Imported, Licences, Manifest, Parity
from foveal.packages.package import Graph
from foveal.text_files import plain_line

LIBRARIES = ("foveal", "onnx", "onnxruntime", "numpy", "opencv-python-headless", "Pillow")
Log = Callable[[str], None]


def import_model(request: Request, target: Target, *, log: Log = lambda _: None) -> str:
    """Write a foreign file as a package.

    Args:
        request: the file and what is known of it.
        target: where to.
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        ImportMismatch: the compiled graph does not answer as the file. ReferenceMismatch: the package does not answer
            as the reference; where other flags would make it, they are named. BadModelFile, BadRequest: as `plan`.
            BadData, BadImage: the reference.

    Example:
        >>> from foveal.export.writing import Target
        >>> import_model(Request(Path("yolov8n.onnx"), unproved=True), Target.of(Path("zoo/mine/1")))  # doctest: +SKIP
        'sha256:…'
    """
    if request.reference is None and not request.unproved:
        raise BadRequest("expected --reference FILE --images DIR, the framework's own answers, or --unproved")
    shown = example_images(request.examples)
    ready = plan(request)
    log(f"{ready.foreign.name}: {ready.family}, {ready.head.name}, {len(ready.labels)} classes, {ready.head.task}")
    try:
        try:
            return _write(ready, request, target, shown, log)
        except BatchMismatch as error:  # what the probe of batches did not show
            log(f"{ONE_BY_ONE}: {error}")
            alone = replace(ready, probed=replace(ready.probed, max_batch=1), notes=(*ready.notes, ONE_BY_ONE))
            return _write(alone, request, target, shown, log)
    except BadPackage as error:
        raise ImportMismatch(f"the package does not answer as its graph did when it was proved: {error}") from None


def _write(ready: Plan, request: Request, target: Target, shown: Mapping[str, npt.NDArray[np.uint8]], log: Log) -> str:
    """Prove and write.

    Raises:
        BadPackage: it would not verify; the rest as `import_model`.
    """
    graph, pipeline, parity = prove(ready, request, log=log)
    reference, doubts = None, list[str]()
    if request.reference is not None:
        expect_low_scores(ready, request.reference)
        reference, doubts = prove_reference(ready, request, pipeline, log=log)
    manifest = _manifest(ready, request, target, pipeline, parity, reference, tuple(shown), doubts)
    golden = golden_files(pipeline, {f"drawn-{style}": rgb for style, rgb in drawings().items()} | dict(shown))
    return write_verified(target, manifest, graph, card(manifest, about=request.about), golden)


def prove(ready: Plan, request: Request, *, log: Log) -> tuple[Graph, Pipeline, Parity]:
    """Compile, and prove the graph against the file.

    Raises:
        ImportMismatch: it does not answer as the file.
    """
    graph = compiled(ready.foreign, ready.probed, ready.head, ready.reading, ready.kept)
    session, provider = open_session(graph.model, SessionSettings(), weights=graph.weights)
    spec = spec_of(
        ready.head,
        ready.reading,
        ready.labels,
        score_threshold=request.score_threshold,
        tensors=graph_tensors(session),
        max_batch=ready.probed.max_batch,
    )
    inputs = {name: spec.preprocess.apply(_decoded(rgb))[0] for name, rgb in probes(ready.reading.input_size).items()}
    parity = prove_graph(
        ready.foreign, ready.session, session, ready.head, ready.reading, ready.kept, ready.probed, inputs
    )
    log(f"the graph answers as the file does, on {parity.images} probes in batches of {parity.batch_sizes}")
    return graph, Pipeline(spec, session, provider), parity


def _decoded(rgb: npt.NDArray[np.uint8]) -> Decoded:
    return Decoded(rgb, (rgb.shape[0], rgb.shape[1]), 1)


def _manifest(
    ready: Plan,
    request: Request,
    target: Target,
    pipeline: Pipeline,
    parity: Parity,
    reference: manifests.Reference | None,
    examples: tuple[str, ...],
    doubts: list[str],
) -> Manifest:
    """All that is known about the package."""
    said = {name: ready.foreign.metadata.get(name) for name in ("description", "license")}
    notes = [*ready.notes, *doubts]
    if columns_of(ready.head, ready.reading) > len(ready.labels):
        notes.append(
            f"{columns_of(ready.head, ready.reading) - len(ready.labels)} class columns without a name are left out"
        )
    imported = Imported(
        family=ready.family,
        source=ready.foreign.name,
        source_sha256=ready.foreign.sha256,
        reading=ready.reading.words(),
        reference=reference,
        notes=tuple(notes),
    )
    return Manifest(
        name=target.name,
        version=target.version,
        architecture=plain_line(said["description"] or Path(ready.foreign.name).stem),
        pipeline=pipeline.spec,
        opset=ready.foreign.opset,
        parity=parity,
        licences=Licences(data="not known", weights=plain_line(request.licence or said["license"] or "not stated")),
        created_with={name: version_of(name) for name in LIBRARIES},
        examples=examples,
        imported=imported,
    )
