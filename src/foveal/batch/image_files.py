"""Image files beside the entries of a batch job: overlays for people, id maps for programs."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foveal.batch.sources import Source
from foveal.errors import BadOutput, BadRequest, FovealError
from foveal.formats import id_maps
from foveal.formats.entry import Entry
from foveal.imaging import drawing
from foveal.imaging.decode import decode
from foveal.tasks import Task


@dataclass(frozen=True)
class ImageFiles:
    """Folders to write to; None: no such images."""

    overlay: Path | None = None
    maps: Path | None = None

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
            _save(self.overlay / f"{inside(source.name)}.jpg", drawing.encode(drawn, "image/jpeg"))
        if self.maps is not None:
            _save(self.maps / f"{inside(source.name)}.png", id_maps.id_map_png(entry.outcome, task))


def inside(name: str) -> PurePosixPath:
    """A source's name as a path that stays inside a folder: `/a/../b/c.png` -> `a/b/c.png`."""
    return PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", "//", "..")))


def _save(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise BadOutput(f"{path}: expected a place to write to: {error.strerror}") from None
