"""AVIF, decoded by Pillow (libavif), and HEIC, photos of phones, by pi-heif (libheif) of the extra `heif`.

Before a library sees a file its tables are bounded (isobmff.py), and the size and number of its coded frames are read
from the streams: both libraries decode what the streams hold, whatever size the container states.
"""

import importlib.util
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar

from foveal.errors import BadImage, UnsupportedImage
from foveal.imaging.codecs import av1, hevc, isobmff, pillow
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array, exif_orientation
from foveal.imaging.codecs.isobmff import Items

_ADVICE = "install it (pip install 'foveal[heif]'), or send a JPEG (iPhone: Settings, Camera, Most Compatible)"
_LARGE_PIXELS = 16_000_000
_MAX_DERIVATIONS = 3
_ALIGNMENT = 64  # a coded side is rounded up to blocks of at most that
_TABLE_BYTES = 64  # of memory for a byte of tables: entries in dicts here, and structures in the decoders
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")


@dataclass(frozen=True)
class _Coded:
    """What decoding an image takes: pixels of all its frames, tiles and alpha."""

    pixels: int
    tile_pixels: int = 0
    alpha_pixels: int = 0
    other_bytes: int = 0  # of the items that are no images


@dataclass(frozen=True)
class _Still(EncodedImage):
    """The primary image of a file."""

    coded: _Coded = _Coded(0)

    @property
    def tile_pixels(self) -> int:
        """See EncodedImage."""
        return self.coded.tile_pixels

    @property
    def fixed_bytes(self) -> int:
        """Frames and tiles beyond the image's own pixels, of up to 16 bits in three planes; the tables of items."""
        tables = _TABLE_BYTES * min(len(self.data), isobmff.MAX_TABLE_BYTES)
        return 8 * max(0, self.coded.pixels - self.stored_hw[0] * self.stored_hw[1]) + tables


@dataclass(frozen=True)
class Avif(_Still):
    """An AVIF; of an animation the still image that stands for it, which is its first frame.

    Pillow is faster, but copies the decoded pixels with Python's lock held (0.2 s of 64 megapixels), so plain large
    ones go through OpenCV, which decodes with libavif as well and gives the same pixels (tested).
    """

    format: ClassVar[str] = "AVIF"
    plain: bool = True  # opaque, of 8 bits a sample

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        return 22.0  # planes of up to 16 bits with alpha: 8, of a grid twice; RGBA bytes: 4, Pillow's image: 4

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        large = self.stored_hw[0] * self.stored_hw[1] > _LARGE_PIXELS
        return pillow.opencv_pixels(self) if large and self.plain else pillow.pixels(self)


@dataclass(frozen=True)
class Heic(_Still):
    """The primary image of a HEIC.

    Its rotation and mirroring are properties of the file, which the decoder applies; its EXIF orientation repeats them
    and is ignored, as the standard says. So `orientation` is always 1.
    """

    format: ClassVar[str] = "HEIC"

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        return 20.0

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        image = _open(self.data)
        try:
            opened = image.to_pillow()
        except Exception as error:  # libheif's wrapper raises several types
            raise BadImage(f"this HEIC file is truncated or corrupt: {error}") from None
        return pillow.rgb_of(opened, self.profile, "HEIC")


def read_avif(data: bytes) -> Avif:
    """Header of an AVIF. Its rotation and mirroring are given as an EXIF orientation by Pillow.

    Raises:
        BadImage: damaged, or its tables are too long. UnsupportedImage: made of other images than AV1's and grids.
    """
    items, data = isobmff.read_items(data)
    coded = _Reader(data, items, "AVIF", {b"av01": _av1}).coded()
    opened = pillow.open_image(data, "AVIF")
    orientation = exif_orientation(opened.info.get("exif") or b"")
    configurations = [box for boxes in items.properties.values() for box in boxes if box.kind == b"av1C"]
    plain = not coded.alpha_pixels and not any(data[box.content + 2] & 0x40 for box in configurations)
    profile = opened.info.get("icc_profile") or b""
    metadata_bytes = len(profile) + coded.other_bytes
    return Avif(data, opened.size[::-1], orientation, profile, metadata_bytes, coded, plain)


def read_heic(data: bytes) -> Heic:
    """Header of a HEIC.

    Raises:
        UnsupportedImage: the extra `heif` is not installed, or made of other images than HEVC's and grids.
        BadImage: damaged, or its tables are too long.
    """
    if importlib.util.find_spec("pi_heif") is None:
        raise UnsupportedImage(f"this is HEIC, and its decoder is not installed: {_ADVICE}")
    items, data = isobmff.read_items(data)
    coded = _Reader(data, items, "HEIC", {b"hvc1": _hevc, b"hev1": _hevc}).coded()
    image = _open(data)
    profile = image.info.get("icc_profile") or b""
    return Heic(data, image.size[::-1], 1, profile, len(profile) + coded.other_bytes, coded)


def _open(data: bytes) -> Any:
    import pi_heif

    try:
        file = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        return file[file.primary_index]
    except Exception as error:  # see Heic.pixels
        raise BadImage(f"the header of this HEIC file is damaged: {error}") from None


_Stream = Callable[[bytes, bytes, Iterator[int]], tuple[SizeHW, int]]  # item, hvcC, units -> size and frames


def _av1(item: bytes, _configuration: bytes, units: Iterator[int]) -> tuple[SizeHW, int]:
    return av1.frames(item, units)


def _hevc(item: bytes, configuration: bytes, units: Iterator[int]) -> tuple[SizeHW, int]:
    return hevc.image_size(item, configuration, units), 1


@dataclass
class _Reader:
    """Sizes of the images that decoding the primary one takes."""

    data: bytes
    items: Items
    format: str
    streams: dict[bytes, "_Stream"]
    units: Iterator[int] = field(default_factory=lambda: count(1))  # of all streams together, numbered

    def coded(self) -> _Coded:
        """Raises BadImage where a stream holds another size than its item states."""
        primary = self.items.primary
        try:
            colour, tile = self._image(primary, _MAX_DERIVATIONS)
            alpha = sum(self._image(item, 1)[0] for item in self._alphas([primary, *self._parts(primary)]))
        except (IndexError, ValueError):
            raise BadImage(f"the header of this {self.format} file is damaged: a property is cut") from None
        if alpha > colour:
            raise BadImage(f"this {self.format} file is corrupt: alpha of {alpha} pixels, colours of {colour}")
        others = (item for item, kind in self.items.kinds.items() if kind not in (*self.streams, b"grid"))
        extents = (extent for item in others for extent in self.items.extents.get(item, ()))
        return _Coded(colour + alpha, tile, alpha, sum(extent.stop - extent.start for extent in extents))

    def _parts(self, item: int) -> tuple[int, ...]:
        return self.items.targets(b"dimg", item)

    def _alphas(self, images: list[int]) -> set[int]:
        """The items that are the alpha of one of these."""
        found = self.items.sources(b"auxl", images)
        return {item for item in found if self._content(item, b"auxC")[4:].rstrip(b"\0").startswith(_ALPHA)}

    def _image(self, item: int, derivations: int) -> tuple[int, int]:
        """Pixels to decode for an item, and those of its largest tile."""
        kind = self.items.kinds.get(item)
        if kind in self.streams:
            return self._stream(item, kind)
        parts = self._parts(item)
        if kind == b"grid":
            return self._grid(item, parts)
        if kind == b"iden" and len(parts) == 1 and derivations:
            return self._image(parts[0], derivations - 1)
        if kind is None:
            raise BadImage(f"the header of this {self.format} file is damaged: it has no primary image")
        choices = ", ".join(each.decode() for each in (*self.streams, b"grid"))
        raise UnsupportedImage(
            f"{self.format} made of items {kind.decode('latin-1')!a} is not supported; of: {choices}"
        )

    def _stream(self, item: int, kind: bytes) -> tuple[int, int]:
        stated_hw = self._stated(item)
        stream = b"".join(self.data[extent] for extent in self.items.extents.get(item, ()))
        (height, width), frames = self.streams[kind](stream, self._content(item, b"hvcC"), self.units)
        if not all(0 <= got - side < _ALIGNMENT for got, side in zip((height, width), stated_hw, strict=True)):
            raise BadImage(
                f"this {self.format} file is corrupt: its header states {stated_hw[1]} x {stated_hw[0]} pixels, "
                f"its stream {width} x {height}"
            )
        return height * width * frames, height * width

    def _grid(self, item: int, parts: tuple[int, ...]) -> tuple[int, int]:
        head = b"".join(self.data[extent] for extent in self.items.extents.get(item, ()))
        rows, columns = head[2] + 1, head[3] + 1
        size = 4 if head[1] & 1 else 2
        width, height = (int.from_bytes(head[at : at + size], "big") for at in (4, 4 + size))
        if len(parts) != rows * columns or any(self.items.kinds.get(part) not in self.streams for part in parts):
            raise BadImage(f"this {self.format} file is corrupt: a grid of {rows} x {columns} with {len(parts)} tiles")
        tile_hw = self._stated(parts[0])
        sound = (height, width) == self._stated(item) and all(self._stated(part) == tile_hw for part in set(parts))
        for side, tile, number in zip((height, width), tile_hw, (rows, columns), strict=True):
            sound = sound and (number - 1) * tile < side <= number * tile
        if not sound:
            raise BadImage(f"this {self.format} file is corrupt: its tiles do not cover {width} x {height} pixels once")
        sizes = {part: self._image(part, 0) for part in set(parts)}
        return sum(sizes[part][0] for part in parts), max(tile for _, tile in sizes.values())

    def _stated(self, item: int) -> SizeHW:
        size = self._content(item, b"ispe")
        if len(size) < 12:
            raise ValueError
        return int.from_bytes(size[8:12], "big"), int.from_bytes(size[4:8], "big")

    def _content(self, item: int, kind: bytes) -> bytes:
        box = self.items.property(item, kind)
        return self.data[box.content : box.end] if box else b""
