"""PNG: a walk over the chunks, which checks them and leaves Pillow only those that the pixels need.

Metadata never costs the image: ancillary chunks with a wrong checksum, compressed texts and profiles that expand to
gigabytes are passed over. A critical chunk with a wrong checksum is damage. gAMA and cHRM are ignored: many files state
wrong ones, and OpenCV, libvips and Pillow ignore them too.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
from PIL import Image

from foveal.errors import BadImage
from foveal.imaging.codecs import colour, pillow
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array, at_most, exif_orientation, strips

MAX_CHUNKS = 65_536  # 64 MB in the 8 kB chunks that libpng writes are 8,192

_SIGNATURE_BYTES = 8
_GREY, _RGB, _PALETTE = 0, 2, 3
_STORED_BYTES = {_GREY: 1, _RGB: 4, _PALETTE: 1, 4: 4, 6: 4}  # in Pillow, by colour type


class _Chunk(NamedTuple):
    kind: bytes
    start: int  # of the chunk; its content lies 8 bytes behind
    length: int  # of the content

    @property
    def content(self) -> slice:
        """Where its content lies in the file."""
        return slice(self.start + 8, self.start + 8 + self.length)

    @property
    def critical(self) -> bool:
        """Whether it may not be passed over."""
        return not self.kind[0] & 0x20

    @property
    def needed(self) -> bool:
        """Whether the pixels depend on it."""
        return self.critical or self.kind == b"tRNS"


@dataclass(frozen=True)
class Png(EncodedImage):
    """A PNG; of an animated one the default image."""

    format: ClassVar[str] = "PNG"
    bits: int = 8
    colour_type: int = _RGB
    interlaced: bool = False
    transparent: bytes = b""  # tRNS
    parts: tuple[slice, ...] = ()  # what Pillow is given; empty: the whole file

    @property
    def _deep_key(self) -> bool:
        """16-bit RGB with one transparent colour: Pillow keeps 8 bits, too few to compare with it."""
        return self.bits == 16 and self.colour_type == _RGB and len(self.transparent) >= 6

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        if self._deep_key:
            return 9.0
        return 3.0 + (2 if self.bits == 16 and self.colour_type == _GREY else _STORED_BYTES[self.colour_type])

    @property
    def fixed_bytes(self) -> int:
        """See EncodedImage."""
        walk = min(16_000_000, 15 * len(self.data))  # a list of chunks; an unpacked profile
        return walk + 16 * self.stored_hw[1] + (len(self.data) if self.parts else 0)

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        data = self.data
        if self.parts:
            data = b"".join([data[part] for part in self.parts])
        if self._deep_key:
            return self._without_colour(data)
        with self._loaded(data) as opened:
            if self.colour_type == _GREY and self.bits < 8 and len(self.transparent) >= 2:
                value = int.from_bytes(self.transparent[:2], "big")
                opened.info["transparency"] = value * 255 // (2**self.bits - 1)  # Pillow spreads the samples only
            return pillow.rgb_of(opened, self.profile, "PNG")

    def _loaded(self, data: bytes) -> Image.Image:
        """Decode; a stream of zlib that ends before the last row is damage, which Pillow does not see.

        So the row that comes last holds noise before. A tiny row may equal it: then the inverse of it is tried too.
        """
        noise = b""
        for _ in range(2):
            opened = pillow.open_image(data, "PNG", self.stored_hw)
            last = self.stored_hw[0] - 1 if not self.interlaced else max(0, self.stored_hw[0] // 2 * 2 - 1)
            box = (0, last, opened.width, last + 1)
            blank = Image.new(opened.mode, opened.size, None)
            row_bytes = len(blank.crop(box).tobytes())
            noise = bytes(byte ^ 0xFF for byte in noise) or os.urandom(row_bytes)
            row = Image.frombytes(opened.mode, (opened.width, 1), noise)
            blank.paste(row, box)
            opened.im = blank.im
            pillow.load(opened, "PNG")
            if opened.crop(box).tobytes() != row.tobytes():
                return opened
        raise BadImage("this PNG file is truncated: its data end before the last row")

    def _without_colour(self, data: bytes) -> UInt8Array:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if bgr is None or bgr.dtype != np.uint16 or bgr.shape[:2] != self.stored_hw:
            raise BadImage("this PNG file is truncated or corrupt: the decoder gave no image")
        key = np.array(struct.unpack(">3H", self.transparent[:6])[::-1], np.uint16)
        rgb = np.empty((*self.stored_hw, 3), np.uint8)
        for rows in strips(self.stored_hw):
            part = bgr[rows, :, :3].astype(np.uint16, copy=False)
            rgb[rows] = (part >> 8)[:, :, ::-1]
            hidden = (part == key).all(axis=2)
            colour.array_to_srgb(rgb[rows], self.profile, grey=False)
            rgb[rows][hidden] = 255
        return rgb


def read(data: bytes) -> Png:
    """Header of a PNG, and a check of all its chunks.

    Raises:
        BadImage: a critical chunk is damaged or missing, or there are too many chunks.
    """
    chunks = list(_chunks(data))
    if not chunks or chunks[0].kind != b"IHDR" or chunks[0].length < 13:
        raise BadImage("the header of this PNG file is damaged")
    if sum(chunk.kind == b"IHDR" for chunk in chunks) > 1:  # Pillow takes the last, libpng the first
        raise BadImage("the header of this PNG file is damaged: expected one IHDR chunk, got several")
    if not any(chunk.kind == b"IDAT" for chunk in chunks):
        raise BadImage("this PNG file is truncated: expected an IDAT chunk, got none")
    width, height, bits, colour_type, interlace = struct.unpack_from(">IIBBxxB", data, _SIGNATURE_BYTES + 8)
    if not width or not height or colour_type not in _STORED_BYTES or bits not in (1, 2, 4, 8, 16):
        raise BadImage(
            f"the header of this PNG file is damaged: it states {width} x {height} pixels, "
            f"colour type {colour_type}, {bits} bits"
        )
    sound = {chunk.kind: data[chunk.content] for chunk in reversed(chunks) if not chunk.critical}
    parts: tuple[slice, ...] = ()
    if any(not chunk.needed for chunk in _chunks(data, checked=False)):
        parts = (slice(0, _SIGNATURE_BYTES), *(slice(c.start, c.content.stop + 4) for c in chunks if c.needed))
    profile = _profile(sound.get(b"iCCP", b""))
    return Png(
        data, (height, width), exif_orientation(sound.get(b"eXIf", b"")), profile, len(profile),
        bits, colour_type, bool(interlace), sound.get(b"tRNS", b""), parts,
    )  # fmt: skip


def _chunks(data: bytes, *, checked: bool = True) -> Iterator[_Chunk]:
    """Chunks up to IEND; with `checked`, those of metadata only if their checksum is right."""
    at, count = _SIGNATURE_BYTES, 0
    while at + 12 <= len(data):
        chunk = _Chunk(data[at + 4 : at + 8], at, int.from_bytes(data[at : at + 4], "big"))
        count += 1
        at_most(count, MAX_CHUNKS, "PNG chunks")
        at = chunk.content.stop + 4
        if not checked or _right_checksum(data, chunk):
            yield chunk
        elif chunk.critical:
            what = "it ends within its" if at > len(data) else "wrong checksum of its"
            raise BadImage(f"this PNG file is truncated or corrupt: {what} {chunk.kind.decode('latin-1')!a} chunk")
        if chunk.kind == b"IEND":
            return


def _profile(content: bytes) -> bytes:
    """The ICC profile of an iCCP chunk: a name, a zero, a zero, and zlib's stream."""
    _, _, packed = content.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], colour.MAX_PROFILE_BYTES)
    except zlib.error:
        return b""  # damaged metadata never costs the image
    return b"" if unpacker.unconsumed_tail else profile


def _right_checksum(data: bytes, chunk: _Chunk) -> bool:
    end = chunk.content.stop
    return zlib.crc32(memoryview(data)[chunk.start + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
