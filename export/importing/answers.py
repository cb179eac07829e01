"""Reference proof (`prove_reference`): the package's answers against those of the model's own framework."""

from collections.abc import Callable
from pathlib import Path

from foveal.errors import BadReference, ReferenceMismatch
from foveal.export.importing.labels import labels_of
from foveal.export.importing.plan import Plan, Request
from foveal.export.importing.proof.matching import LOW_SCORE, SCORE, Match, criterion_of, floor_of, match
from foveal.export.importing.proof.reference import Reference
from foveal.export.importing.proof.search import Trials, alternatives, proof_options, result_for, search
from foveal.export.importing.reading import Reading
from foveal.inference.pipeline import Pipeline
from foveal.options import MAX_DETECTIONS
from foveal.packages import manifest as manifests
from foveal.progress import track
from foveal.results import Result
from foveal.tasks import task_of

Log = Callable[[str], None]
LEAST_CLASSES = 5  # probabilities an image


def prove_reference(
    ready: Plan, request: Request, pipeline: Pipeline, *, log: Log
) -> tuple[manifests.Reference, list[str]]:
    """The package's answers to the image files against the reference's.

    Returns:
        What was proved, and what the reference leaves open, in words.

    Raises:
        BadReference: of other classes. ReferenceMismatch: they differ; with the flags under which they agree, if any.
    """
    assert request.reference is not None
    reference = request.reference
    candidates = _numbered(reference, ready, request)
    options = pipeline.options(proof_options(ready.head.task, ready.labels, reference))
    results: dict[Path, Result] = {}
    for path, answer in track(reference.images.items(), total=len(reference.images), what="reference"):
        prepared = pipeline.prepare(path)
        outputs = pipeline.infer([prepared], [options])[0]
        results[path] = result_for(answer, outputs, prepared.transform, pipeline.spec, options)
    best, reference = max(((match(results, each), each) for each in candidates), key=lambda pair: pair[0].share)
    trials = Trials(ready.foreign, ready.session, ready.head, request.labels or _known_labels(ready), reference)
    if best.holds:
        log(f"answers as {reference.framework} did: {best.agreed} of {best.total} agree, on {len(results)} images")
        proved = manifests.Reference(
            framework=reference.framework,
            digest=reference.digest,
            images=len(results),
            criterion=criterion_of(task_of(ready.head.task)),
            measured=best.measured(),
        )
        return proved, _left_open(ready, trials, log)
    if not best.tells:
        raise ReferenceMismatch(
            f"expected a reference that tells readings apart, got {best.total} objects that can be compared and "
            f"{best.left_out} that cannot: their scores lie within {SCORE:g} of the lowest, or their boxes outside the "
            "image. Networks without training answer so"
        )
    log(f"{best.agreed} of {best.total} agree with the reference; looking for flags under which they do")
    fits, how = search(trials, ready.reading, log=log)
    raise ReferenceMismatch(_mismatch(ready, best, fits, how, reference))


def _numbered(reference: Reference, ready: Plan, request: Request) -> list[Reference]:
    """With class ids of the package, which has none for columns without a label; where ids may be either, both.

    Raises:
        BadReference: classes that the package does not have.
    """
    known = request.labels or _known_labels(ready)
    candidates = [reference]
    if known is not None and len(known) != len(ready.labels) and not reference.numbered:
        table = {i: ready.labels.index(name) for i, name in enumerate(known) if name in ready.labels}
        if reference.labels or any(i >= len(ready.labels) for i in reference.class_ids()):
            candidates = [reference.renumbered(table)]
        elif set(reference.class_ids()) <= table.keys():
            candidates.append(reference.renumbered(table))
    count, ids = len(ready.labels), candidates[0].class_ids()
    if reference.numbered and not reference.numberings(count):
        raise BadReference(
            f"expected categories of {count} classes, from 0, from 1 or COCO's; got {ids[:3]} … {ids[-1]}"
        )
    if not reference.numbered and ids and ids[-1] >= count:
        raise BadReference(f"expected class ids below {count}, the number of classes, got {ids[-1]}")
    return [each for candidate in candidates for each in candidate.numberings(count)]


def _left_open(ready: Plan, trials: Trials, log: Log) -> list[str]:
    """Other flags under which a classifier would agree as well: its probabilities may be too even to tell."""
    task = task_of(ready.head.task)
    if task.has_objects or task.has_id_map:
        return []
    own = trials.results(ready.reading)
    others = [
        reading.differences(ready.reading)
        for reading in alternatives(ready.reading, ready.head)
        if trials.match(reading).holds and trials.results(reading) != own
    ]
    if not others:
        return []
    flags = "; ".join(others[:3]) + (f"; {len(others) - 3} more" if len(others) > 3 else "")
    note = f"the reference does not tell the flags used from {flags}: images that are less alike would"
    log(f"note: {note}")
    return [note]


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
        BadReference: it has no detections, or none of low scores.
    """
    objects = any(len(answer.scores) for answer in reference.images.values())
    if not task_of(ready.head.task).has_objects:
        _expect_probabilities(ready, reference)
        return
    if not objects:
        raise BadReference("expected a reference with detections, got none in any image")
    cut = any(len(answer.scores) >= MAX_DETECTIONS for answer in reference.images.values())
    if ready.reading.nms != "none" and not cut and (floor := floor_of(reference)) > LOW_SCORE:
        raise BadReference(
            f"expected a reference that reaches down to scores of {LOW_SCORE}, where ways of NMS differ; its lowest is "
            f"{floor:.3f}: make it with a threshold of 0.01"
        )


def _expect_probabilities(ready: Plan, reference: Reference) -> None:
    """Refuse a classifier's reference of the best class only, which many readings would give."""
    least = min(LEAST_CLASSES, len(ready.labels))
    for path, answer in reference.images.items():
        if answer.class_map is None and len(answer.class_ids) < least:
            raise BadReference(
                f"{path.name}: expected the probabilities of all {len(ready.labels)} classes, or of the best {least}, "
                f"got {len(answer.class_ids)}"
            )


def _known_labels(ready: Plan) -> tuple[str, ...] | None:
    """For other readings; those that were made up must not bind them."""
    return labels_of(ready.foreign.metadata)
