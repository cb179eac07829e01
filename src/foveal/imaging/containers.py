"""Bounds on image containers: what a file may make a parser do, checked by a cheap look at its bytes.

Pillow's parsers of containers are written in Python and loop over segments, chunks and tags as a file states them; a
decoder repeats its passes over all pixels as often as a progressive file asks. Few bytes can so cost minutes. Each walk
here takes at most some ten thousand steps, whatever the file says; what a walk does not understand is left to the
decoder, which names the damage.
"""

import struct
from collections.abc import Callable

from foveal.errors import BadImage, ImageTooLarge

MAX_SEGMENTS = 4096  # of a JPEG before its first scan: 64 kB of metadata each
MAX_EXIF_SEGMENTS = 64  # Pillow joins them one by one: a quadratic copy
MAX_FOREIGN_BYTES = 65_536  # between JPEG segments: skipped byte by byte
MAX_SCAN_PIXELS = 4_000_000_000  # scans x pixels of a JPEG: 62 passes over 64 megapixels
MAX_CHUNKS = 65_536  # of a PNG; 64 MB in the 8 kB chunks that libpng writes are 8,192
MAX_GIF_STEPS = 16_384  # blocks and sub-blocks before the first frame
MAX_TAGS = 512  # of a TIFF directory
MAX_TAG_VALUES = 65_536  # of all its tags together: strips and tiles are one each

_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # JPEG markers without a length
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def check(format_name: str, data: bytes, max_pixels: int) -> None:
    """Refuse a file whose container asks for unbounded work.

    Args:
        format_name: what the first bytes promise: JPEG, PNG, GIF, TIFF; others need no bound.
        data: the whole file.
        max_pixels: limit on width x height, of tiles too.

    Raises:
        BadImage: too many segments, chunks, tags or passes. ImageTooLarge: a tile over the limit.
    """
    if format_name in _CHECKS:
        _CHECKS[format_name](data, max_pixels)


def _jpeg(data: bytes, _: int) -> None:
    at, segments, foreign, exif, pixels = 2, 0, 0, 0, 0
    while (found := data.find(b"\xff", at)) >= 0 and found + 4 <= len(data):
        foreign += found - at
        marker = data[found + 1]
        if marker in (0x00, 0xFF):  # padding: one byte a step
            at, foreign = found + 1, foreign + 1
        elif marker in _STANDALONE:
            at, foreign = found + 2, foreign + 2
        else:
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and found + 9 <= len(data):
                height, width = struct.unpack_from(">HH", data, found + 5)
                pixels = height * width
            if marker == 0xDA:
                break
            exif += marker == 0xE1 and data[found + 4 : found + 10] == b"Exif\0\0"
            at, segments = found + 2 + max(2, int.from_bytes(data[found + 2 : found + 4], "big")), segments + 1
        _at_most(segments, MAX_SEGMENTS, "JPEG segments")
        _at_most(foreign, MAX_FOREIGN_BYTES, "bytes between JPEG segments")
        _at_most(exif, MAX_EXIF_SEGMENTS, "Exif segments")
    if pixels == 0:
        _at_most(len(data) - at, MAX_FOREIGN_BYTES, "bytes without a JPEG frame header")
    scans = data.count(b"\xff\xda")  # an upper bound: a thumbnail's scan counts too
    if scans * pixels > MAX_SCAN_PIXELS:
        raise BadImage(
            f"expected at most {MAX_SCAN_PIXELS // pixels} scans in a JPEG file of {pixels} pixels, got {scans}"
        )


def _png(data: bytes, _: int) -> None:
    at, chunks = 8, 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":  # what follows the end is never parsed
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        chunks += 1
        _at_most(chunks, MAX_CHUNKS, "PNG chunks")


def _gif(data: bytes, _: int) -> None:
    if len(data) < 13:
        return
    at, steps = 13 + (3 << (data[10] % 8 + 1) if data[10] & 0x80 else 0), 0  # behind the global palette
    while at < len(data) and data[at] != ord(","):  # until the first frame
        extension = data[at] == ord("!")
        at += 2 if extension else 1  # Pillow passes over what is neither
        while extension and at < len(data) and data[at]:  # sub-blocks, each behind its size
            at, steps = at + 1 + data[at], steps + 1
            _at_most(steps, MAX_GIF_STEPS, "GIF blocks before the first frame")
        at, steps = at + extension, steps + 1
        _at_most(steps, MAX_GIF_STEPS, "GIF blocks before the first frame")


def _tiff(data: bytes, max_pixels: int) -> None:
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    head, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    try:
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (tags,) = struct.unpack_from(order + head, data, at)
        _at_most(tags, MAX_TAGS, "TIFF tags")
        values, tile = 0, {_TILE_WIDTH: 0, _TILE_LENGTH: 0}
        for i in range(tags):
            offset = at + struct.calcsize("=" + head) + i * struct.calcsize("=" + entry)
            tag, kind, count, content = struct.unpack_from(order + entry, data, offset)
            if kind not in (1, 2, 7):  # bytes and text are not unpacked one by one
                values += count
            if tag in tile and count == 1 and kind in (3, 4):
                tile[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), content)[0]
    except struct.error:
        return  # damaged: the decoder says how
    _at_most(values, MAX_TAG_VALUES, "values of TIFF tags")
    area = tile[_TILE_WIDTH] * tile[_TILE_LENGTH]
    if area > max_pixels:
        raise ImageTooLarge(f"expected tiles of at most {max_pixels} pixels, got {area}")


_CHECKS: dict[str, Callable[[bytes, int], None]] = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "TIFF": _tiff}


def _at_most(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise BadImage(f"expected at most {limit} {what}, got more")
