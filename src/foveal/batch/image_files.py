"""Image files beside the entries of a batch job: overlays for people, id maps for programs."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foveal.batch.sources import Source, inside
from foveal.errors import BadOutput, BadRequest, FovealError
from foveal.formats import id_maps
from foveal.formats.entry import Entry
from foveal.imaging import drawing
from foveal.imaging.decode import decode
from foveal.tasks import Task

NAME_BYTES = 255 - len(".jpg")  # the longest name of a file that Linux and macOS take
PATH_BYTES = 3000  # of all parts below the folder; Linux takes 4096 in all
DIGEST = 12  # hexadecimal digits that stand for what was cut off


@dataclass(frozen=True)
class ImageFiles:
    """Folders to write to; None: no such images."""

    overlay: Path | None = None
    maps: Path | None = None

    def __bool__(self) -> bool:
        return self.overlay is not None or self.maps is not None

    def check(self, task: str) -> None:
        """Refuse what the task does not have, before anything runs.

        Raises:
            BadRequest: maps of a task without them.
        """
        if self.maps is not None and task not in id_maps.offered():
            raise BadRequest(f"--maps: expected a model of {' or '.join(id_maps.offered())}, got {task}")

    def absolute(self) -> "ImageFiles":
        """The same folders, from wherever one looks."""
        return ImageFiles(*(folder and folder.absolute() for folder in (self.overlay, self.maps)))

    def write(self, source: Source, entry: Entry, task: Task) -> None:
        """The images of one entry; none for one that failed.

        Raises:
            BadOutput: a file cannot be written.
        """
        if isinstance(entry.outcome, FovealError):
            return
        if self.overlay is not None:
            # results were predicted from a reduced decode perhaps; people look at all pixels
            drawn = entry.outcome.overlay(decode(source.read()).rgb)
            _save(self.overlay / place_of(source, ".jpg"), drawing.encode(drawn, "image/jpeg"))
        if self.maps is not None:
            _save(self.maps / place_of(source, ".png"), id_maps.id_map_png(entry.outcome, task))


def place_of(source: Source, suffix: str = "") -> str:
    """Path of an image file below its folder: the source's place and a suffix.

    A part that is too long for a file system is cut, and ends in a digest of the whole, so that it stays unique.
    """
    place = inside(source)
    path = "/".join(map(_fitting, place.split("/")))
    return (path if len(os.fsencode(path)) <= PATH_BYTES else _cut(place)) + suffix


def renamed(given: Sequence[Source], placed: Sequence[Source]) -> list[str]:
    """Which image files do not bear their image's name, `name -> place`: too long ones, and those of equal places."""
    pairs = ((before, place_of(after)) for before, after in zip(given, placed, strict=True))
    return [f"{before.name} -> {place}" for before, place in pairs if place != inside(before)]


def _fitting(part: str) -> str:
    """A part of a path, cut when it does not fit with a suffix behind it."""
    return part if len(os.fsencode(part)) <= NAME_BYTES and "\0" not in part else _cut(part)


def _cut(text: str) -> str:
    data = os.fsencode(text)
    kept = data[: NAME_BYTES - DIGEST - 1].decode(errors="ignore").replace("\0", "_").replace("/", "_")
    return f"{kept}~{hashlib.sha256(data).hexdigest()[:DIGEST]}"


def _save(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise BadOutput(f"{path}: expected a place to write to: {error.strerror}") from None
