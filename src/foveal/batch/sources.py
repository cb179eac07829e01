"""Sources of a batch job: files, folders, globs, lists of names and tar archives -> named, readable images."""

import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from foveal.errors import BadImage, BadRequest
from foveal.imaging.decode import EXTENSIONS


@dataclass(frozen=True, slots=True)  # there may be millions of them
class Source:
    """One image to read; in a tar archive, a range of its bytes, so that threads need share nothing."""

    name: str  # as the result names it: the path as given, or archive.tar/member
    path: str
    offset: int = 0
    size: int | None = None  # None: the whole file

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            BadImage: the file cannot be read.
        """
        try:
            if self.size is None:
                return Path(self.path).read_bytes()
            with open(self.path, "rb") as archive:
                return os.pread(archive.fileno(), self.size, self.offset)
        except OSError as error:
            raise BadImage(f"expected a readable file: {error.strerror}") from None


def expand(arguments: Sequence[str]) -> list[Source]:
    """Arguments -> sources, in a stable order.

    Each argument is a file, a folder (searched in depth for image extensions, sorted), a glob (sorted), an uncompressed
    .tar archive (image members, in the archive's order), `@FILE` (one name a line) or `-` (the same from stdin).

    Raises:
        BadRequest: an argument matches nothing.
    """
    sources: list[Source] = []
    for argument in arguments:
        found = list(_expand_one(argument))
        if not found:
            expected = "expected a file, a folder or archive with images, a list of names or a glob that matches"
            raise BadRequest(f"{argument}: {expected}, found nothing")
        sources += found
    return sources


def shard(sources: Sequence[Source], which: str) -> list[Source]:
    """Every n-th source from the i-th: `which` is "i/n", i from 1 to n. The n shards together are the whole, once.

    Raises:
        BadRequest: not of that form.
    """
    index, slash, count = which.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise BadRequest(f"--shard: expected I/N with 1 <= I <= N, got {which!r}")
    return list(sources[int(index) - 1 :: int(count)])


def _expand_one(argument: str) -> Iterator[Source]:
    path = Path(argument)
    if argument == "-":
        yield from _listed(sys.stdin.read())
    elif argument.startswith("@"):
        yield from _listed(_list_text(argument[1:]))
    elif path.is_dir():
        found = (p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
        yield from (Source(name, name) for name in map(str, sorted(found)))
    elif path.suffix.lower() == ".tar" and path.is_file():
        yield from _members(argument)
    elif path.exists():
        yield Source(argument, argument)
    else:
        yield from (Source(name, name) for name in sorted(glob(argument, recursive=True)) if Path(name).is_file())


def _list_text(name: str) -> str:
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"@{name}: expected a readable list of file names: {error}") from None


def _listed(text: str) -> Iterator[Source]:
    names = (line.strip() for line in text.splitlines())
    return (Source(name, name) for name in names if name)


def _members(archive: str) -> Iterator[Source]:
    try:
        with tarfile.open(archive, "r:") as opened:
            for member in opened:
                if member.isreg() and member.name.lower().endswith(EXTENSIONS):
                    yield Source(f"{archive}/{member.name}", archive, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise BadRequest(f"{archive}: expected an uncompressed tar archive: {error}") from None
