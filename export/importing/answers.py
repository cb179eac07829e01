"""Reference proof (`prove_reference`): the package's answers against those of the model's own framework."""

from collections.abc import Callable
from pathlib import Path

from foveal.errors import BadRequest, ReferenceMismatch
from foveal.export.importing.labels import labels_of
from foveal.export.importing.plan import Plan, Request
from foveal.export.importing.proof.matching import LOW_SCORE, Match, criterion_of, floor_of, match
from foveal.export.importing.proof.reference import Reference
from foveal.export.importing.proof.search import Trials, proof_options, result_for, search
from foveal.export.importing.reading import Reading
from foveal.inference.pipeline import Pipeline
from foveal.options import MAX_DETECTIONS
from foveal.packages import manifest as manifests
from foveal.progress import track
from foveal.results import Result
from foveal.tasks import task_of

Log = Callable[[str], None]


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
    raise ReferenceMismatch(_mismatch(ready, best, fits, how, reference))


def _mismatch(ready: Plan, best: Match, fits: Reading, how: Match, reference: Reference) -> str:
    """Which answers differ, the flags under which they do not, else what often is the reason."""
    said = f"expected the reference's answers, got {best.agreed} of {best.total} that agree: " + "; ".join(
        best.examples[:2]
    )
    flags = fits.differences(ready.reading)
    if how.holds and flags:
        return f"{said}. It matches with {flags}"
    if flags and how.closeness > 0.5:
        said = f"{said}. No flags make it match; nearest is {flags} ({how.share:.1%} agree)"
    else:
        said = f"{said}. No flags were found that make it match"
    return ". ".join([said, *_hints(ready, reference)])


def _hints(ready: Plan, reference: Reference) -> list[str]:
    """Reasons outside the flags, each seen in a framework."""
    found = []
    if ready.family == "keras" and any(path.suffix.lower() in (".jpg", ".jpeg") for path in reference.images):
        found.append("TensorFlow decodes JPEG to other pixels: make the reference on PNG copies of the images")
    height, width = ready.reading.input_size
    maps = [answer.class_map for answer in reference.images.values() if answer.class_map is not None]
    if any(seen.shape != (height, width) for seen in maps):
        found.append(
            f"frameworks scale logits to the image's size in their own ways: give class maps of {height}x{width}, the "
            "model input's size"
        )
    return found


def expect_low_scores(ready: Plan, reference: Reference) -> None:
    """Refuse a reference of detections that tells too little.

    Raises:
        BadRequest: it has no detections, or none of low scores.
    """
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


def _known_labels(ready: Plan) -> tuple[str, ...] | None:
    """For other readings; those that were made up must not bind them."""
    return labels_of(ready.foreign.metadata)
