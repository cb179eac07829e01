"""TIFF: what its first page is, by its tags; which variants are read, and raw files of cameras, which are not.

Pillow (libtiff) decodes; grey of 10 to 16 bits goes through OpenCV (libtiff as well), since Pillow reads only some of
those. What neither reads is refused from the tags with its name: nothing is answered for a camera's thumbnail.
"""

import struct
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from PIL import Image

from foveal.errors import BadImage, UnsupportedImage
from foveal.imaging.codecs import colour, directory, pillow
from foveal.imaging.codecs.directory import Directory
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array, at_most, strips

MAX_SCAN_PIXELS = 4_000_000_000  # of JPEG strips: scans x pixels

_COMPRESSIONS = {  # those that Pillow's and OpenCV's wheels bring; True: read
    1: ("none", True), 2: ("CCITT RLE", True), 3: ("CCITT T.4", True), 4: ("CCITT T.6", True), 5: ("LZW", True),
    6: ("old-style JPEG", True), 7: ("JPEG", True), 8: ("deflate", True), 32771: ("CCITT RLE", True),
    32773: ("PackBits", True), 32946: ("deflate", True), 34925: ("LZMA", True), 50000: ("Zstandard", True),
    50001: ("WebP", False), 50002: ("JPEG XL", False), 34712: ("JPEG 2000", False), 33003: ("JPEG 2000", False),
    34887: ("LERC", False), 34676: ("SGI Log", False), 34677: ("SGI Log", False), 34933: ("PNG", False),
}  # fmt: skip
_JPEG = (6, 7)
_DECODER_BYTES = {6: 8, 7: 8, 34925: 8, 50000: 8}  # a pixel: coefficients, windows
_RAW_PHOTOMETRIC = (32803, 34892)  # CFA, LinearRaw
_RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65000, 65535)  # Sony, Epson, Samsung, Nikon, Kodak, Pentax
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 4, 5, 6, 8
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_FORMATS = {2: "signed integer", 3: "floating-point", 5: "complex", 6: "complex"}
_DEEP_GREY = (10, 12, 14, 16)


@dataclass(frozen=True)
class Tiff(EncodedImage):
    """The first page of a TIFF."""

    format: ClassVar[str] = "TIFF"
    bits: int = 8
    photometric: int = _BLACK_IS_ZERO
    unit_bytes: int = 0  # that decoding one strip or tile takes
    tile_pixels: int = 0

    @property
    def _deep_grey(self) -> bool:
        return self.bits in _DEEP_GREY and self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)

    @property
    def turn(self) -> int:
        """See EncodedImage."""
        return self.orientation if self._deep_grey else 1  # Pillow turns while loading

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        if self._deep_grey:
            return 5.0
        return 7.0 if self.orientation == 1 else 8.0  # Pillow turns a copy

    @property
    def fixed_bytes(self) -> int:
        """While strips are decoded there is no result yet, whose three bytes a pixel a small one fits into."""
        return max(0, self.unit_bytes - 3 * self.stored_hw[0] * self.stored_hw[1])

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        if self._deep_grey:
            return self._grey()
        with pillow.open_image(self.data, "TIFF", self.image_hw) as opened:
            opened.info.pop("xmp", None)  # its orientation would be applied
            pillow.load(opened, "TIFF")
            return pillow.rgb_of(opened, self.profile, "TIFF")

    def _grey(self) -> UInt8Array:
        try:
            deep = cv2.imdecode(np.frombuffer(self.data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise BadImage(f"this TIFF file is truncated or corrupt: {error.err}") from None
        if deep is None or deep.dtype != np.uint16 or deep.shape != self.stored_hw:
            raise BadImage("this TIFF file is truncated or corrupt: the decoder gave no image")
        rgb = np.empty((*self.stored_hw, 3), np.uint8)
        for rows in strips(self.stored_hw):
            grey = (deep[rows].astype(np.uint16, copy=False) >> 8).astype(np.uint8)
            rgb[rows] = (~grey if self.photometric == _WHITE_IS_ZERO else grey)[:, :, None]
        colour.array_to_srgb(rgb, self.profile, grey=True)
        return rgb


def with_full_range(opened: Image.Image) -> Image.Image:
    """A loaded Pillow image; of deep grey from a TIFF, which Pillow leaves as stored, black is made 0, white 65535."""
    tags = getattr(opened, "tag_v2", None)
    if tags is None or not opened.mode.startswith("I;16"):
        return opened
    deep = np.asarray(opened).astype(np.uint16) << (16 - tags.get(directory.BITS, (16,))[0])
    return Image.fromarray(~deep if tags.get(directory.PHOTOMETRIC) == _WHITE_IS_ZERO else deep)


def read(data: bytes) -> Tiff:
    """Header of a TIFF.

    Raises:
        BadImage: damaged, or too many tags. UnsupportedImage: raw, or a variant that is not read.
    """
    try:
        pages = list(directory.walk(data))
    except struct.error:
        raise BadImage("the header of this TIFF file is damaged: it points outside of the file") from None
    page = pages[0]
    _refuse_raw(pages)
    height, width = page.first(directory.HEIGHT, 0), page.first(directory.WIDTH, 0)
    if not height or not width:
        raise BadImage(f"the header of this TIFF file is damaged: it states {width} x {height} pixels")
    bits = page.all(directory.BITS, (1,))
    photometric = page.first(directory.PHOTOMETRIC, _WHITE_IS_ZERO)
    samples = page.first(directory.SAMPLES, 1)
    _refuse_variants(page, bits, photometric, samples)
    tile_pixels, unit = _bound_units(page, data, (height, width), sum(bits) if len(bits) > 1 else bits[0] * samples)
    start, end = page.blobs.get(directory.ICC, (0, 0))
    turn = page.first(directory.ORIENTATION, 1)
    metadata_bytes = sum(end - start for start, end in page.blobs.values())
    at_most(metadata_bytes, 2 * len(data) + 65_536, "bytes of TIFF tags together: twice the file")
    return Tiff(
        data, (height, width), turn if 1 <= turn <= 8 else 1, data[start:end], metadata_bytes, bits[0], photometric,
        unit, tile_pixels,
    )  # fmt: skip


def _refuse_raw(pages: list[Directory]) -> None:
    for page in pages:
        if (
            directory.DNG_VERSION in page.blobs
            or page.first(directory.PHOTOMETRIC, 0) in _RAW_PHOTOMETRIC
            or page.first(directory.COMPRESSION, 1) in _RAW_COMPRESSIONS
        ):
            raise UnsupportedImage("this is a camera's raw file (DNG or alike), which is not supported; export a JPEG")
    if pages[0].first(directory.SUBFILE, 0) & 1 and len(pages) > 1:
        raise UnsupportedImage(
            "the first page of this TIFF file is a reduced copy of another, as in a camera's raw file: not supported"
        )


def _refuse_variants(page: Directory, bits: tuple[int, ...], photometric: int, samples: int) -> None:
    def unsupported(what: str, expected: str) -> UnsupportedImage:
        return UnsupportedImage(f"TIFF with {what} is not supported; expected {expected}")

    compression = page.first(directory.COMPRESSION, 1)
    name, readable = _COMPRESSIONS.get(compression, ("unknown", False))
    if not readable:
        raise unsupported(f"compression {compression} ({name})", "none, LZW, deflate, JPEG, PackBits or CCITT")
    formats = set(page.all(directory.SAMPLE_FORMAT, (1,))) - {1, 4}  # unsigned, undefined
    if formats:
        kind = _FORMATS.get(min(formats), "unknown")
        raise unsupported(f"{bits[0]}-bit {kind} samples", "unsigned integers")
    if max(bits) > 16 or len(set(bits)) > 1:
        raise unsupported(f"{'/'.join(map(str, sorted(set(bits))))} bits a sample", "8 or 16")
    if photometric not in _COLOURS:
        raise unsupported(f"photometric interpretation {photometric}", "grey, RGB, palette, CMYK, YCbCr or CIELab")
    old_jpeg = compression in _JPEG and samples == 1  # samples may be left out
    most = 2 if _COLOURS[photometric] == 1 else 6
    if (samples < _COLOURS[photometric] and not old_jpeg) or samples > most:
        raise unsupported(f"{samples} bands", "1 (grey), 3 (RGB) or 4 (RGB and alpha, CMYK)")


def _bound_units(page: Directory, data: bytes, stored_hw: SizeHW, pixel_bits: int) -> tuple[int, int]:
    """Pixels of a tile (0: strips) and bytes that decoding one takes; their bytes in the file are bounded as well."""
    tiled = directory.TILE_WIDTH in page.numbers
    if tiled:
        area = page.first(directory.TILE_WIDTH, 0) * page.first(directory.TILE_HEIGHT, 0)
    else:
        area = min(page.first(directory.STRIP_ROWS, stored_hw[0]), stored_hw[0]) * stored_hw[1]
    stored = sum(page.all(directory.TILE_BYTES if tiled else directory.STRIP_BYTES))
    at_most(stored, 4 * len(data) + 65_536, "bytes of TIFF strips together: four times the file")
    if (compression := page.first(directory.COMPRESSION, 1)) in _JPEG:
        at_most(data.count(b"\xff\xda") * area, MAX_SCAN_PIXELS, f"pixels in all scans of strips of {area} pixels")
    return area * tiled, int(area * (max(4, pixel_bits / 8) + _DECODER_BYTES.get(compression, 0))) + 1
