"""TIFF's directories of tags (`Directory`, `walk`), read within bounds."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from foveal.errors import BadImage
from foveal.imaging.codecs.encoded import at_most

MAX_TAGS = 512  # of a directory
MAX_TAG_VALUES = 65_536  # of all its tags together: strips and tiles are one each
MAX_DIRECTORIES = 16  # looked at: pages and sub-directories

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_DIRECTORIES = 322, 323, 324, 325, 330
SAMPLE_FORMAT, ICC, DNG_VERSION = 339, 34675, 50706

_STRUCTURE = range(SUBFILE, SAMPLE_FORMAT + 1)
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BLOBS = (1, 2, 6, 7)  # bytes and text are not unpacked one by one
_UNREAD = 64  # bytes of a blob at most that are kept as numbers


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF file: its tags of integers, and where its blobs lie."""

    numbers: dict[int, tuple[int, ...]] = field(default_factory=dict)
    blobs: dict[int, tuple[int, int]] = field(default_factory=dict)  # tag -> start, end in the file
    next_at: int = 0

    def first(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return (self.numbers.get(tag) or (default,))[0]

    def all(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """All values of a tag."""
        return self.numbers.get(tag) or default


class Layout:
    """Byte order and word size of a TIFF file, by its first bytes."""

    def __init__(self, data: bytes) -> None:
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"\x2b\0", b"\0\x2b")
        self.head, self.entry, self.word = ("Q", "HHQ", "Q") if self.big else ("H", "HHI", "I")

    def first_at(self, data: bytes) -> int:
        """Where the first directory lies."""
        return int(struct.unpack_from(self.order + self.word, data, 8 if self.big else 4)[0])

    def directory(self, data: bytes, at: int) -> Directory:
        """The directory at a place.

        Raises:
            BadImage: too many tags or values, or one twice. struct.error: it points outside of the file.
        """
        (tags,) = struct.unpack_from(self.order + self.head, data, at)
        at_most(tags, MAX_TAGS, "TIFF tags")
        step = struct.calcsize(self.order + self.entry) + struct.calcsize(self.order + self.word)
        found, values, at = Directory(), 0, at + struct.calcsize(self.order + self.head)
        for place in range(at, at + tags * step, step):
            tag, kind, count = struct.unpack_from(self.order + self.entry, data, place)
            if tag in _STRUCTURE and tag in found.blobs:  # libtiff takes the first, Pillow the last
                raise BadImage(f"the header of this TIFF file is damaged: tag {tag} occurs twice")
            values += count if kind not in _BLOBS else 0
            at_most(values, MAX_TAG_VALUES, "values of TIFF tags")
            start = place + struct.calcsize(self.order + self.entry)
            if (size := count * _SIZES.get(kind, 1)) > struct.calcsize(self.order + self.word):
                (start,) = struct.unpack_from(self.order + self.word, data, start)
            found.blobs[tag] = (start, start + size)
            if kind in _INTEGERS and (kind not in _BLOBS or count <= _UNREAD):
                found.numbers[tag] = struct.unpack_from(f"{self.order}{count}{_INTEGERS[kind]}", data, start)
        (next_at,) = struct.unpack_from(self.order + self.word, data, at + tags * step)
        return Directory(found.numbers, found.blobs, next_at)


def walk(data: bytes) -> Iterator[Directory]:
    """The first directory, then its sub-directories and the pages behind it, at most MAX_DIRECTORIES.

    Raises:
        BadImage: too many tags or values in the first. struct.error: the first points outside of the file.
    """
    layout = Layout(data)
    first = layout.directory(data, layout.first_at(data))
    yield first
    seen: set[int] = set()
    waiting = [*first.all(SUB_DIRECTORIES), first.next_at]
    while waiting and len(seen) < MAX_DIRECTORIES:
        if (at := waiting.pop(0)) in seen or not at:
            continue
        seen.add(at)
        try:
            directory = layout.directory(data, at)
        except Exception:  # noqa: S112 - damage behind the first page costs nothing
            continue
        yield directory
        waiting += [*directory.all(SUB_DIRECTORIES), directory.next_at]
