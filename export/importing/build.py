"""Import of one file (`import_model`): read, compile, prove, describe, and only then write a package."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.errors import BadModelFile, BadRequest, ReferenceMismatch
from foveal.export.card import card
from foveal.export.importing.compiling import Probed, compiled, probe
from foveal.export.importing.families.detr import DetrHead
from foveal.export.importing.families.families import FAMILIES, guess, head_of
from foveal.export.importing.families.head import Head
from foveal.export.importing.foreign import Foreign, read_foreign
from foveal.export.importing.labels import columns_of, labelled, labels_of
from foveal.export.importing.proof.graph import prove_graph, version_of
from foveal.export.importing.proof.matching import LOW_SCORE, Match, criterion_of, floor_of, match
from foveal.export.importing.proof.reference import Reference
from foveal.export.importing.proof.search import Trials, proof_options, result_for, search, spec_of
from foveal.export.importing.reading import Reading
from foveal.export.proof.probes import drawings, probes
from foveal.export.writing import Target, example_images, golden_files, write_verified
from foveal.imaging.decode import Decoded
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import Session, SessionSettings, open_session
from foveal.inference.verify import graph_tensors
from foveal.options import MAX_DETECTIONS
from foveal.packages import manifest as manifests
from foveal.packages.manifest import Imported, Licences, Manifest, Parity
from foveal.packages.package import Graph
from foveal.progress import track
from foveal.results import Result
from foveal.tasks import task_of

LIBRARIES = ("foveal", "onnx", "onnxruntime", "numpy", "opencv-python-headless", "Pillow")
UNSUPPORTED = ("pose", "obb")  # tasks of Ultralytics
Log = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What a user asks of an import; `given` are fields of the reading that flags set."""

    path: Path
    family: str = "auto"
    task: str | None = None
    labels: Sequence[str] | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    reference: Reference | None = None
    unproved: bool = False
    score_threshold: float = 0.25
    licence: str = ""
    about: str = ""
    examples: Sequence[Path] = ()


@dataclass(frozen=True)
class Plan:
    """A file, understood: everything that compiling needs."""

    foreign: Foreign
    session: Session
    probed: Probed
    family: str
    head: Head
    reading: Reading
    labels: tuple[str, ...]
    kept: tuple[int, ...]
    notes: tuple[str, ...]


def plan(request: Request) -> Plan:
    """Understand a file: family, outputs, reading and labels.

    Raises:
        BadModelFile: it cannot be read or run, or is not what the request says. BadRequest: something must be given.
    """
    foreign = read_foreign(request.path)
    session = foreign.open()
    size = _input_size(foreign, request.given.get("input_size"))
    probed = probe(foreign, session, Reading(input_size=size))
    if isinstance(said := foreign.metadata.get("task"), str) and said in UNSUPPORTED:
        raise BadModelFile(f"{foreign.name}: expected a model for detect, segment or classify, got one for {said}")
    family = guess(probed.probe, foreign.metadata) if request.family == "auto" else request.family
    head = head_of(family, probed.probe, request.task, foreign.name)
    reading = Reading(input_size=size, **{**FAMILIES[family].fields(head.task, size), **head.defaults()})
    reading = reading.changed(request.given)
    own = labels_of(foreign.metadata)
    labels = request.labels or own or _reference_labels(request.reference, head)
    reading = _activated(head, reading, labels, request)
    names, kept = labelled(head, reading, labels, foreign.name)
    notes = list(probed.notes)
    if labels is None:
        notes.append("the file names no classes: they are called by their numbers")
    if request.family == "auto":
        notes.append(f"the family was guessed from the file: {family}")
    return Plan(foreign, session, probed, family, head, reading, names, kept, tuple(notes))


def import_model(request: Request, target: Target, *, log: Log = lambda _: None) -> str:
    """Write a foreign file as a package.

    Args:
        request: the file and what is known of it.
        target: where to.
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        ParityFailure: the compiled graph does not answer as the file. ReferenceMismatch: the package does not answer as
            the reference; where other flags would make it, they are named. BadModelFile, BadRequest: as `plan`.
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
    graph, pipeline, parity = prove(ready, request, log=log)
    reference = None
    if request.reference is not None:
        _expect_low_scores(ready, request.reference)
        reference = prove_reference(ready, request, pipeline, log=log)
    manifest = _manifest(ready, request, target, pipeline, parity, reference, tuple(shown))
    golden = golden_files(pipeline, {f"drawn-{style}": rgb for style, rgb in drawings().items()} | shown)
    return write_verified(target, manifest, graph, card(manifest, about=request.about), golden)


def prove(ready: Plan, request: Request, *, log: Log) -> tuple[Graph, Pipeline, Parity]:
    """Compile, and prove the graph against the file.

    Raises:
        ParityFailure: it does not answer as the file.
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


def prove_reference(ready: Plan, request: Request, pipeline: Pipeline, *, log: Log) -> manifests.Reference:
    """The package's answers to the image files against the reference's.

    Raises:
        ReferenceMismatch: they differ; with the flags under which they agree, if any do.
    """
    assert request.reference is not None
    best: Match | None = None
    reference = request.reference
    options = pipeline.options(proof_options(ready.head.task, ready.labels, reference))
    results: dict[Path, Result] = {}
    for path, answer in track(reference.images.items(), total=len(reference.images), what="reference"):
        prepared = pipeline.prepare(path)
        outputs = pipeline.infer([prepared], [options])[0]
        results[path] = result_for(answer, outputs, prepared.transform, pipeline.spec, options)
    for numbered in reference.numberings(len(ready.labels)):
        found = match(results, numbered)
        best = found if best is None or found.share > best.share else best
    if best is None:
        raise ReferenceMismatch(f"expected class ids of {len(ready.labels)} classes in the reference, got others")
    if best.holds:
        log(f"answers as {reference.framework} did: {best.agreed} of {best.total} agree, on {len(results)} images")
        return manifests.Reference(
            framework=reference.framework,
            digest=reference.digest,
            images=len(results),
            criterion=criterion_of(task_of(ready.head.task)),
            measured=best.measured(),
        )
    log(f"{best.agreed} of {best.total} agree with the reference; looking for flags under which they do")
    trials = Trials(ready.foreign, ready.session, ready.head, request.labels or _known_labels(ready), reference)
    fits, how = search(trials, ready.reading, log=log)
    raise ReferenceMismatch(_mismatch(ready, best, fits, how))


def _mismatch(ready: Plan, best: Match, fits: Reading, how: Match) -> str:
    said = f"expected the reference's answers, got {best.agreed} of {best.total} that agree: " + "; ".join(
        best.examples[:2]
    )
    flags = fits.differences(ready.reading)
    if how.holds and flags:
        return f"{said}. It matches with {flags}"
    if flags and how.closeness > 0.5:
        return f"{said}. No flags make it match; nearest is {flags} ({how.share:.1%} agree)"
    return f"{said}. No flags were found that make it match"


def _expect_low_scores(ready: Plan, reference: Reference) -> None:
    objects = any(len(answer.scores) for answer in reference.images.values())
    if not task_of(ready.head.task).has_objects:
        return
    if not objects:
        raise BadRequest("expected a reference with detections, got none in any image")
    cut = any(len(answer.scores) >= MAX_DETECTIONS for answer in reference.images.values())
    if ready.reading.nms != "none" and not cut and (floor := floor_of(reference)) > LOW_SCORE:
        raise BadRequest(
            f"expected a reference that reaches down to scores of {LOW_SCORE}, where ways of NMS differ; its lowest is "
            f"{floor:.3f}: make it with a threshold of 0.01"
        )


def _input_size(foreign: Foreign, given: tuple[int, int] | None) -> tuple[int, int]:
    """The file's own, the flag's, or what the metadata say."""
    height, width = foreign.images.input_hw
    said = foreign.metadata.get("imgsz")
    if isinstance(said, list | tuple) and len(said) == 2 and all(isinstance(side, int) for side in said):
        said = (said[0], said[1])
    else:
        said = None
    chosen = given or (said if None in (height, width) else None) or (height or 0, width or 0)
    found = (height or chosen[0], width or chosen[1])
    if given is not None and found != given:
        raise BadModelFile(f"{foreign.name}: expected --input-size {height}x{width}, as the file has, got {given}")
    if min(found) < 1:
        raise BadRequest(
            f"{foreign.name}: takes images of any size: give --input-size HxW, the one it shall be used with"
        )
    return found


def _reference_labels(reference: Reference | None, head: Head) -> tuple[str, ...] | None:
    """What the reference calls the classes; numbers for those that it does not show."""
    if reference is None or not reference.labels:
        return None
    count = head.classes or max(reference.labels) + 1
    if isinstance(head, DetrHead) and max(reference.labels) < count - 1:
        count -= 1
    return tuple(reference.labels.get(i, f"class_{i}") for i in range(count))


def _known_labels(ready: Plan) -> tuple[str, ...] | None:
    """For other readings; those that were made up must not bind them."""
    return labels_of(ready.foreign.metadata)


def _activated(head: Head, reading: Reading, labels: Sequence[str] | None, request: Request) -> Reading:
    """The DETR family's activation, by how many labels there are for its columns."""
    if not isinstance(head, DetrHead) or request.given.get("activation"):
        return reading
    if labels is not None:
        return replace(reading, activation="softmax" if len(labels) == head.classes - 1 else "sigmoid")
    if request.reference is None:
        raise BadRequest(
            f"the outputs have {head.classes} columns of classes: give --labels, or --activation softmax (the last "
            "column is no object) or sigmoid"
        )
    return replace(reading, activation="softmax")


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
) -> Manifest:
    """All that is known about the package."""
    said = {name: ready.foreign.metadata.get(name) for name in ("description", "license")}
    notes = list(ready.notes)
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
        architecture=str(said["description"] or Path(ready.foreign.name).stem)[:200],
        pipeline=pipeline.spec,
        opset=ready.foreign.opset,
        parity=parity,
        licences=Licences(data="not known", weights=request.licence or str(said["license"] or "not stated")),
        created_with={name: version_of(name) for name in LIBRARIES},
        examples=examples,
        imported=imported,
    )
