"""What a file is taken to be (`plan`): family, outputs, reading and labels, before anything is compiled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foveal.errors import BadModelFile, BadRequest
from foveal.export.importing.compiling import Probed, probe
from foveal.export.importing.families.detr import DetrHead
from foveal.export.importing.families.families import FAMILIES, alike, guess, head_of
from foveal.export.importing.families.head import Head
from foveal.export.importing.foreign import Foreign, final_operator, read_foreign
from foveal.export.importing.labels import labelled, labels_of, unreadable
from foveal.export.importing.proof.reference import Reference
from foveal.export.importing.reading import Reading
from foveal.inference.session import Session

UNSUPPORTED = ("pose", "obb")  # tasks of Ultralytics


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
    if (
        final_operator(foreign.model) == "Sigmoid"
        and reading.activation == "softmax"
        and not request.given.get("activation")
    ):
        raise BadModelFile(
            f"{foreign.name}: expected classes of which an image has one; it ends in Sigmoid, so an image may have "
            "several. If it has one, --activation none takes its scores as they are"
        )
    own = labels_of(foreign.metadata)
    labels = request.labels or own or _reference_labels(request.reference, head)
    reading = _activated(head, reading, labels, request)
    names, kept = labelled(head, reading, labels, foreign.name)
    notes = list(probed.notes)
    if labels is None:
        said = "its names cannot be read" if unreadable(foreign.metadata) else "the file names no classes"
        notes.append(f"{said}: they are called by their numbers; --labels names them")
    if request.family == "auto":
        others = [name for name in alike(family, head, probed.probe, request.task) if name != family]
        doubt = f"; files of {', '.join(others)} look the same: --as" if others else ""
        notes.append(f"the family was guessed from the file: {family}{doubt}")
    return Plan(foreign, session, probed, family, head, reading, names, kept, tuple(notes))


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
        raise BadModelFile(
            f"{foreign.name}: expected --input-size {height}x{width}, as the file has, got {given[0]}x{given[1]}"
        )
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


def _activated(head: Head, reading: Reading, labels: Sequence[str] | None, request: Request) -> Reading:
    """The DETR family's activation, by how many labels there are for its columns."""
    if not isinstance(head, DetrHead) or request.given.get("activation"):
        return reading
    if labels is not None:
        return replace(reading, activation="softmax" if len(labels) == head.classes - 1 else "sigmoid")
    if request.reference is None:
        raise BadRequest(
            f"{request.path.name}: read as {head.name}, {head.classes} columns of classes: give --labels, or "
            "--activation softmax (the last column is no object) or sigmoid"
        )
    return replace(reading, activation="softmax")
