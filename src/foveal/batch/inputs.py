"""Inputs of a batch job (`gather`): files, folders, globs, lists of names and tar archives -> sources."""

import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path, PurePosixPath

from foveal.batch.sources import Source, kind_of
from foveal.errors import BadRequest
from foveal.imaging.image_files import SYSTEM_FOLDERS, Listing, is_image_name, list_images
from foveal.text_files import decode_text, read_text

COMPRESSED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".tzst", ".zip", ".7z", ".rar")


@dataclass
class Inputs:
    """Sources in a stable order, and what the folders and archives hold besides."""

    sources: list[Source] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)  # suffix in lower case -> files; "" has none
    dead_links: list[Path] = field(default_factory=list)

    def note(self) -> str | None:
        """What a user should know of files that are no images, or None."""
        return Listing((), self.passed_over, tuple(self.dead_links)).note()

    def add(self, names: Iterator[Source], passed_over: Mapping[str, int], dead_links: Sequence[Path] = ()) -> None:
        """What one argument holds."""
        self.sources += names
        self.passed_over.update(passed_over)
        self.dead_links += dead_links


def gather(arguments: Sequence[str]) -> Inputs:
    """Everything that the arguments hold.

    Each is a file, a folder (searched in depth, as `list_images` does, sorted), a glob (sorted), an uncompressed .tar
    archive (image members, in the archive's order), `@FILE` (one name a line) or `-` (the same from stdin).

    Raises:
        BadRequest: an argument matches nothing, or is no regular file or folder.
    """
    inputs = Inputs()
    for argument in arguments:
        before = len(inputs.sources)
        try:
            _gather_one(argument, inputs)
        except (OSError, ValueError) as error:  # a folder without permission, a name too long or with a null byte
            raise BadRequest(f"{argument}: expected something to read: {error}") from None
        if len(inputs.sources) == before:
            expected = "expected a file, a folder or archive with images, a list of names or a glob that matches"
            note = inputs.note()
            raise BadRequest(f"{argument}: {expected}, found nothing{f'; {note}' if note else ''}")
    return inputs


def expand(arguments: Sequence[str]) -> list[Source]:
    """The sources alone; see `gather`."""
    return gather(arguments).sources


def _gather_one(argument: str, inputs: Inputs) -> None:
    path = Path(argument)
    if argument == "-":
        inputs.add(_listed(_stdin()), {})
    elif argument.startswith("@"):
        inputs.add(_listed(read_text(Path(argument[1:]), BadRequest)), {})
    elif path.is_dir():
        found = list_images(path)
        inputs.add((_below(path.parent, str(image)) for image in found.images), found.passed_over, found.dead_links)
    elif path.exists():
        _gather_file(argument, path, inputs)
    else:
        base = _fixed_part(path)
        names = (name for name in sorted(glob(argument, recursive=True)) if Path(name).is_file())
        inputs.add((_below(base, name) for name in names), {})


def _gather_file(argument: str, path: Path, inputs: Inputs) -> None:
    if other := kind_of(path.stat()):
        raise BadRequest(f"{argument}: expected an image file, a folder or an archive, got {other}")
    if path.name.lower().endswith(COMPRESSED):
        raise BadRequest(f"{argument}: expected an uncompressed .tar archive or a folder; unpack it first")
    if path.suffix.lower() == ".tar":
        passed_over: Counter[str] = Counter()
        inputs.add(_members(argument, path, passed_over), passed_over)
    else:
        inputs.add(iter([_below(path.parent, argument)]), {})


def _below(base: Path, name: str, path: str | None = None, offset: int = 0, size: int | None = None) -> Source:
    """A source whose image files mirror the tree below `base`, where its own path would lead to the file system's root.

    A relative path is mirrored as it was given.
    """
    pure = PurePosixPath(name)
    outside = pure.is_absolute() or ".." in pure.parts
    place = str(pure.relative_to(base)) if outside and pure.is_relative_to(base) else ""
    return Source(name, path if path is not None else name, offset, size, place)


def _fixed_part(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    return Path(*parts[:first])


def _stdin() -> str:
    try:
        return decode_text(sys.stdin.buffer.read())
    except ValueError as error:
        raise BadRequest(f"-: {error}") from None


def _listed(text: str) -> Iterator[Source]:
    names = (line.strip(" \t\r") for line in text.split("\n"))  # splitlines() would also split at what names may hold
    return (Source(name, name) for name in names if name)


def _members(archive: str, path: Path, passed_over: Counter[str]) -> Iterator[Source]:
    try:
        with tarfile.open(archive, "r:") as opened:
            for member in opened:
                if not member.isreg() or _hidden(member.name):
                    continue
                if not is_image_name(member.name):
                    passed_over[PurePosixPath(member.name).suffix.lower()] += 1
                elif member.issparse():
                    raise BadRequest(f"{archive}: {member.name}: expected a plain member, got a sparse one (tar -S)")
                else:
                    name = f"{archive}/{member.name}"
                    yield _below(path.parent, name, archive, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise BadRequest(f"{archive}: expected an uncompressed tar archive: {error}") from None


def _hidden(member: str) -> bool:
    parts = PurePosixPath(member).parts
    return any(part in SYSTEM_FOLDERS or (part.startswith(".") and part != "..") for part in parts)
