"""Sources of a batch job (`Source`): named, readable images."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foveal.errors import BadImage, BadRequest

KINDS = (  # of what is no regular file
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)  # there may be millions of them
class Source:
    """One image to read; in a tar archive, a range of its bytes, so that threads need share nothing."""

    name: str  # as the result names it: the path as given, or archive.tar/member
    path: str
    offset: int = 0
    size: int | None = None  # None: the whole file
    place: str = ""  # what image files beside the output are named after; "": the name

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            BadImage: the file cannot be read; what is no regular file is refused, since it may never end.
        """
        try:
            # to open a pipe waits for its writer, unless this flag is set; for a regular file the flag means nothing
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if other := kind_of(os.fstat(file)):
                    raise BadImage(f"expected an image file, got {other}")
                return _read(file, self.offset, self.size)
            finally:
                os.close(file)
        except OSError as error:
            raise BadImage(f"expected a readable file: {error.strerror}") from None
        except ValueError as error:  # a null byte
            raise BadImage(f"expected a readable file: {error}") from None

    def stamp(self) -> str:
        """Size and time of the last change of the file; "" when there is none."""
        try:
            found = os.stat(self.path)
        except (OSError, ValueError):
            return ""
        return f"{found.st_size:x}.{found.st_mtime_ns:x}"


def _read(file: int, offset: int, size: int | None) -> bytes:
    if size is not None:
        return os.pread(file, size, offset)
    with open(file, "rb", closefd=False) as opened:
        return opened.read()


def kind_of(found: os.stat_result) -> str:
    """What a path is when it is no regular file, in words; "" for one."""
    return next((words for test, words in KINDS if test(found.st_mode)), "")


def shard(sources: Sequence[Source], which: str) -> list[Source]:
    """Every n-th source from the i-th: `which` is "i/n", i from 1 to n. The n shards together are the whole, once.

    Raises:
        BadRequest: not of that form.
    """
    index, slash, count = which.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise BadRequest(f"--shard: expected I/N with 1 <= I <= N, got {which!r}")
    return list(sources[int(index) - 1 :: int(count)])


def distinct(sources: Sequence[Source]) -> list[Source]:
    """The same sources, each image with a place of its own: of two with one place the later gets `name~2.png`.

    Archives may hold a name twice, and `/a.png` and `a.png` have one place. The same image given twice keeps its place:
    what is written there is the same.
    """
    owners: dict[str, tuple[str, int]] = {}
    for source in sources:
        owners.setdefault(inside(source), (source.path, source.offset))
    placed = []
    for source in sources:
        place, number, image = inside(source), 2, (source.path, source.offset)
        stem, suffix = os.path.splitext(place)
        while owners.setdefault(place, image) != image:
            place, number = f"{stem}~{number}{suffix}", number + 1
        placed.append(source if number == 2 else replace(source, place=place))
    return placed


def inside(source: Source) -> str:
    """Where a source's image files lie: a path that stays inside a folder, `/a/../b/c.png` -> `a/b/c.png`."""
    return "/".join(part for part in (source.place or source.name).split("/") if part not in ("", ".", ".."))
