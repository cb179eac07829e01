"""What every codec's `read` gives (`EncodedImage`), limits on counts in headers, and Exif orientation."""

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from foveal.errors import BadImage

UInt8Array = npt.NDArray[np.uint8]
SizeHW = tuple[int, int]

STRIP_PIXELS = 1 << 18
_ORIENTATION = 0x0112
_MAX_EXIF_TAGS = 512


@dataclass(frozen=True)
class EncodedImage(ABC):
    """A file whose header was read and found to ask for bounded work. Its pixels are decoded on demand."""

    format: ClassVar[str]

    data: bytes
    stored_hw: SizeHW
    orientation: int = 1  # EXIF's
    profile: bytes = b""  # ICC profile; empty: none
    metadata_bytes: int = 0  # in the file, or unpacked: libraries copy them several times

    @property
    def image_hw(self) -> SizeHW:
        """Height and width, upright."""
        return self.stored_hw[::-1] if self.orientation >= 5 else self.stored_hw

    @property
    def turn(self) -> int:
        """The orientation in which `pixels` lie."""
        return self.orientation

    @property
    def pixel_bytes(self) -> float:
        """Bytes a pixel of `stored_hw` that `pixels` takes at most, its result included."""
        return 7.0  # Pillow keeps RGB in four bytes; the result has three

    @property
    def tile_pixels(self) -> int:
        """Pixels of one tile, which may be larger than the image."""
        return 0

    @property
    def fixed_bytes(self) -> int:
        """Bytes that `pixels` takes at most besides, whatever the size."""
        return 0

    @abstractmethod
    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """HWC uint8 sRGB, to be turned by `turn`; where the codec can it is smaller, but not than `target_hw` (stored).

        Raises:
            BadImage: truncated or corrupt. UnsupportedImage: a variant that is not read.
        """


class Bits:
    """Numbers of bits, most significant first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """An unsigned number of `count` bits.

        Raises:
            BadImage: fewer are left.
        """
        if count > self._left:
            raise BadImage("the header of this image is damaged: it ends within a number")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def exp_golomb(self) -> int:
        """An unsigned number in exponential Golomb code (H.265, 9.2; AV1's uvlc)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def at_most(count: int, limit: int, what: str) -> None:
    """Refuse a header that states more of something than a parser should walk over."""
    if count > limit:
        raise BadImage(f"expected at most {limit} {what}, got more")


def exif_orientation(block: bytes) -> int:
    """Orientation 1-8 that an Exif block states, with or without `Exif` in front; 1: none, or it is damaged.

    Only EXIF turns an image: XMP's copy of the tag is left alone by browsers, OpenCV and annotation tools.
    """
    block = block[:65_536].removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, _MAX_EXIF_TAGS), 12):
            tag, kind = struct.unpack_from(order + "HH", block, entry)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass  # damaged metadata never costs the image
    return 1


def upright(rgb: UInt8Array, orientation: int) -> UInt8Array:
    """Undo an EXIF orientation (https://exiftool.org/TagNames/EXIF.html, tag 0x0112)."""
    if orientation >= 5:
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)


def strips(image_hw: SizeHW, strip_pixels: int = STRIP_PIXELS) -> list[slice]:
    """Slices of rows, a quarter of a megapixel each: what is computed in strips needs no memory for a second image."""
    height, width = image_hw
    rows = max(1, strip_pixels // max(1, width))
    return [slice(top, min(height, top + rows)) for top in range(0, height, rows)]
