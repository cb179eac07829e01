"""ISO base media files (AVIF, HEIC): their boxes, and the tables of the items in their `meta` box (`Items`).

The libraries that decode them walk over these tables in quadratic time, some with Python's lock held: what the tables
may hold is bounded here, by their bytes. Standards: ISO/IEC 14496-12 (boxes), 23008-12 (items).
"""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from foveal.errors import BadImage
from foveal.imaging.codecs.encoded import at_most

MAX_BOXES = 4096  # of a file's top level
MAX_TABLE_BYTES = 65_536  # of `meta` but for profiles and data: a photo of 1,000 tiles has 25 kB
MAX_EXTENTS = 8192
_STILL = {b"avis": b"avif", b"hevc": b"heic", b"hevx": b"heix", b"msf1": b"mif1"}  # brands of movies
_COLOUR_BYTES = 1024  # of a colour box that count as a table; what is more is a profile


class Box(NamedTuple):
    """A box, by its places in the file."""

    kind: bytes
    start: int
    content: int
    end: int


class Reference(NamedTuple):
    """From one item to others; of kind dimg (is made of), auxl (belongs to), thmb and so on."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


@dataclass
class Items:
    """The items of a file: images, their parts and metadata, by number."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    properties: dict[int, list[Box]] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    extents: dict[int, list[slice]] = field(default_factory=dict)

    def property(self, item: int, kind: bytes) -> Box | None:
        """The first property of a kind that an item has."""
        return next((box for box in self.properties.get(item, ()) if box.kind == kind), None)

    def targets(self, kind: bytes, source: int) -> tuple[int, ...]:
        """What an item refers to."""
        return next((each.targets for each in self.references if each[:2] == (kind, source)), ())

    def sources(self, kind: bytes, targets: Collection[int]) -> set[int]:
        """What refers to any of these items."""
        wanted = frozenset(targets)
        return {each.source for each in self.references if each.kind == kind and not wanted.isdisjoint(each.targets)}


def boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    """The boxes that lie in a range.

    Raises:
        BadImage: one reaches over its end.
    """
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        content = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        stop = at + size if size else end
        if not content <= stop <= end:
            raise BadImage(f"this file is truncated or corrupt: its box {kind.decode('latin-1')!a} is cut")
        yield Box(kind, at, content, stop)
        at = stop


def read_items(data: bytes) -> tuple[Items, bytes]:
    """The items of a file, and the file without its movie: the still image is decoded, whatever else there is.

    Raises:
        BadImage: damaged, or its tables are too long.
    """
    try:
        top = []
        for box in boxes(data, 0, len(data)):
            top.append(box)
            at_most(len(top), MAX_BOXES, "boxes")
        metas = [box for box in top if box.kind == b"meta"]
        if len(metas) != 1 or sum(box.kind == b"ftyp" for box in top) != 1:
            raise BadImage(f"expected one still image in this file (a box 'meta'), got {len(metas)}")
        return _items(data, metas[0]), _without_movie(data, top)
    except (struct.error, IndexError):
        raise BadImage("the header of this file is damaged: a table of its items is cut") from None


def _without_movie(data: bytes, top: list[Box]) -> bytes:
    if not any(box.kind == b"moov" for box in top):
        return data
    still = bytearray(data)
    for box in top:
        if box.kind == b"moov":
            still[box.start + 4 : box.start + 8] = b"free"
        elif box.kind == b"ftyp":
            brands = range(box.content, box.end - 3, 4)
            still[box.content : box.end] = b"".join(_STILL.get(data[at : at + 4], data[at : at + 4]) for at in brands)
    return bytes(still)


def _items(data: bytes, meta: Box) -> Items:
    tables: dict[bytes, Box] = {}
    for box in boxes(data, meta.content + 4, meta.end):
        if box.kind in tables:
            raise BadImage(f"the header of this file is damaged: two boxes {box.kind.decode('latin-1')!a}")
        tables[box.kind] = box
    stored = tables.get(b"idat", Box(b"idat", 0, 0, 0))
    held = {box.kind: box for box in _children(data, tables.get(b"iprp"))}
    held_at = held.get(b"ipco", Box(b"ipco", 0, 0, 0))
    length = meta.end - meta.start - (stored.end - stored.start)
    properties = []
    for box in boxes(data, held_at.content, held_at.end):
        properties.append(box)
        length -= max(0, box.end - box.start - _COLOUR_BYTES) if box.kind == b"colr" else 0
    at_most(length, MAX_TABLE_BYTES, "bytes of tables of items")
    items = Items()
    if primary := tables.get(b"pitm"):
        items.primary = _number(data, primary.content + 4, 4 if data[primary.content] else 2)
    _read_kinds(data, tables.get(b"iinf"), items)
    _read_references(data, tables.get(b"iref"), items)
    _read_extents(data, tables.get(b"iloc"), stored, items)
    for box in _children(data, tables.get(b"iprp")):
        if box.kind == b"ipma":
            _read_associations(data, box, properties, items)
    return items


def _children(data: bytes, box: Box | None) -> Iterator[Box]:
    return boxes(data, box.content, box.end) if box else iter(())


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "big")


def _read_kinds(data: bytes, box: Box | None, items: Items) -> None:
    if not box:
        return
    for entry in boxes(data, box.content + (8 if data[box.content] else 6), box.end):
        version = data[entry.content]
        if entry.kind != b"infe" or version < 2:
            continue
        size = 2 if version == 2 else 4
        item = _number(data, entry.content + 4, size)
        if item in items.kinds:
            raise BadImage(f"the header of this file is damaged: item {item} occurs twice")
        items.kinds[item] = data[entry.content + 6 + size : entry.content + 10 + size]


def _read_references(data: bytes, box: Box | None, items: Items) -> None:
    if not box:
        return
    size = 4 if data[box.content] else 2
    for entry in boxes(data, box.content + 4, box.end):
        count = _number(data, entry.content + size, 2)
        first = entry.content + size + 2
        if first + count * size > entry.end:
            raise IndexError
        targets = tuple(_number(data, first + at * size, size) for at in range(count))
        items.references.append(Reference(entry.kind, _number(data, entry.content, size), targets))


def _read_associations(data: bytes, box: Box, properties: list[Box], items: Items) -> None:
    version, wide = data[box.content], data[box.content + 3] & 1
    at = box.content + 8
    for _ in range(_number(data, box.content + 4, 4)):
        if at >= box.end:
            raise IndexError
        item = _number(data, at, 4 if version else 2)
        at += 4 if version else 2
        count, at = data[at], at + 1
        for _ in range(count):
            index = _number(data, at, 1 + wide) & (0x7FFF if wide else 0x7F)
            at += 1 + wide
            if 0 < index <= len(properties):
                items.properties.setdefault(item, []).append(properties[index - 1])


def _read_extents(data: bytes, box: Box | None, stored: Box, items: Items) -> None:
    """`stored`: the box idat, into which items of construction method 1 point."""
    if not box:
        return
    version, sizes = data[box.content], _number(data, box.content + 4, 2)
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    number_size = 4 if version == 2 else 2
    at, total, extents = box.content + 6 + number_size, 0, 0
    for _ in range(_number(data, box.content + 6, number_size)):
        if at >= box.end:  # the count may be any number, and so may that of extents of no bytes
            raise IndexError
        item = _number(data, at, number_size)
        at += number_size
        method = _number(data, at, 2) & 15 if version else 0
        at += 4 if version else 2
        base = _number(data, at, base_size) + (stored.content if method == 1 else 0)
        count = _number(data, at + base_size, 2)
        at += base_size + 2
        extents += count
        at_most(extents, MAX_EXTENTS, "extents of items")
        for _ in range(count):
            at += index_size if version else 0
            start = base + _number(data, at, offset_size)
            length = _number(data, at + offset_size, length_size)
            at += offset_size + length_size
            if at > box.end or method > 1:
                raise IndexError
            items.extents.setdefault(item, []).append(slice(start, start + length))
            total += length
    at_most(total, 2 * len(data) + 65_536, "bytes of items together: twice the file")
