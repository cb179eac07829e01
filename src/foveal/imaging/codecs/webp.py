"""WebP: a walk over the RIFF chunks; still images are decoded by OpenCV, animations by Pillow."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from foveal.errors import BadImage
from foveal.imaging.codecs import pillow
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array, at_most, exif_orientation

MAX_CHUNKS = 4096

_ANIMATED = 0x02  # flag of VP8X
_IMAGES = (b"VP8 ", b"VP8L")
_PIXELS = (*_IMAGES, b"ALPH", b"ANMF")


@dataclass(frozen=True)
class Webp(EncodedImage):
    """A WebP; of an animation the first frame."""

    format: ClassVar[str] = "WEBP"
    animated: bool = False

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        return 18.0 if self.animated else 9.0

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        if self.animated:
            return pillow.pixels(self)
        return pillow.opencv_pixels(self)


def read(data: bytes) -> Webp:
    """Header of a WebP.

    Raises:
        BadImage: damaged, too many chunks, or of two sizes.
    """
    found: dict[bytes, bytes] = {}
    metadata_bytes = 0
    at, end, count = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little")), 0
    first = data[at : at + 4]
    while at + 8 <= end:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8X", *_IMAGES, b"ICCP", b"EXIF"):
            found.setdefault(kind, data[at + 8 : at + 8 + (length if kind in (b"ICCP", b"EXIF") else 10)])
        metadata_bytes += length if kind not in _PIXELS else 0
        at, count = at + 8 + length + length % 2, count + 1
        at_most(count, MAX_CHUNKS, "WebP chunks")
    try:
        stored_hw, flags = _size(first, found)
    except (struct.error, LookupError):
        raise BadImage("the header of this WEBP file is damaged") from None
    return Webp(
        data,
        stored_hw,
        exif_orientation(found.get(b"EXIF", b"")),
        found.get(b"ICCP", b""),
        min(metadata_bytes, len(data)),
        animated=bool(flags & _ANIMATED),
    )


def _size(first: bytes, found: dict[bytes, bytes]) -> tuple[SizeHW, int]:
    """(height, width) and VP8X' flags, as libwebp reads them: VP8X counts as the first chunk only."""
    if first in _IMAGES:
        return _image_size(first, found[first]), 0
    if first != b"VP8X":
        raise BadImage("the header of this WEBP file is damaged: expected a VP8 chunk first")
    head = found[b"VP8X"]
    width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (4, 7))
    image = next((kind for kind in found if kind in _IMAGES), None)  # the first in the file
    if not head[0] & _ANIMATED and image and (size := _image_size(image, found[image])) != (height, width):
        raise BadImage(
            f"the header of this WEBP file is damaged: it states {width} x {height} pixels, "
            f"its image {size[1]} x {size[0]}"
        )
    return (height, width), head[0]


def _image_size(kind: bytes, head: bytes) -> SizeHW:
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", head, 1)
        return (1 + (packed >> 14 & 0x3FFF), 1 + (packed & 0x3FFF))
    width, height = struct.unpack_from("<HH", head, 6)
    return (height & 0x3FFF, width & 0x3FFF)
