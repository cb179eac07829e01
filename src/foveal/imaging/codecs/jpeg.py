"""JPEG: a walk over the segments for all that the header states, and decoding by OpenCV (libjpeg-turbo).

The walk follows libjpeg's own: it looks for the next marker, whatever lies between two segments, so that files are read
that end a segment too early or have foreign bytes between segments. At full size OpenCV and Pillow give the same pixels
(tested); OpenCV is faster and decodes at reduced size. Pillow takes what OpenCV does not read: CMYK and lossless JPEG.
"""

import struct
from dataclasses import dataclass
from typing import ClassVar

import cv2

from foveal.errors import BadImage, UnsupportedImage
from foveal.imaging.codecs import colour, pillow
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array, at_most, exif_orientation

MAX_SEGMENTS = 4096  # before the first scan: 64 kB of metadata each
MAX_EXIF_SEGMENTS = 64  # Pillow joins them one by one: a quadratic copy
MAX_FOREIGN_BYTES = 65_536  # between segments
MAX_SCAN_PIXELS = 4_000_000_000  # scans x pixels: 62 passes over 64 megapixels

_SOF3, _DHT, _SOI, _EOI, _SOS, _APP1, _APP2 = 0xC3, 0xC4, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_FRAME_HEADERS = set(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
_ARITHMETIC_COST = 3  # of a scan, against one of Huffman codes
_KINDS = {0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical", 0xCB: "arithmetic-coded lossless"}
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
_COLOR_BGR = cv2.IMREAD_COLOR  # a bit in each of these flags, which excludes IMREAD_COLOR_RGB


@dataclass(frozen=True)
class Jpeg(EncodedImage):
    """A JPEG, or the first image of an MPO."""

    format: ClassVar[str] = "JPEG"
    kind: int = 0xC0  # marker of the frame header: SOF0 to SOF15
    components: int = 3
    scan_at: int = 0
    buffered: bool = False  # several scans: libjpeg holds all coefficients

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow decodes it."""
        return self.components == 4 or self.kind == _SOF3

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        coefficients = 2 * self.components * self.buffered
        if self.by_pillow:
            return max(7.0, 4.0 + coefficients)
        return max(6.0, 3.0 + coefficients)  # OpenCV's image is copied into NumPy's

    @property
    def fixed_bytes(self) -> int:
        """Coefficients come in blocks, which the sampling factors group to up to 32 x 32 pixels."""
        height, width = (-(-side // 32) * 32 for side in self.stored_hw)
        padding = height * width - self.stored_hw[0] * self.stored_hw[1]
        return 2 * self.components * self.buffered * padding + 200 * width + 2 * len(self.data) * (not self.has_end)

    @property
    def has_end(self) -> bool:
        """Whether there is an end-of-image marker behind the first scan's."""
        return self.data.rfind(b"\xff\xd9") > self.scan_at

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        data = self.data
        if not self.has_end:
            self._expect_all_rows()
            data += b"\xff\xd9"
        if self.by_pillow:
            with pillow.open_image(data, "JPEG", self.stored_hw) as opened:
                pillow.load(opened, "JPEG")
                return pillow.rgb_of(opened, self.profile, "JPEG")
        flag = _REDUCED.get(reduction(self.stored_hw, target_hw), _COLOR_BGR)
        rgb = pillow.opencv_rgb(data, flag & ~_COLOR_BGR | cv2.IMREAD_COLOR_RGB, "JPEG")
        colour.array_to_srgb(rgb, self.profile, grey=self.components == 1)
        return rgb

    def _expect_all_rows(self) -> None:
        """Without an end marker a sequential JPEG is read if no row is missing; of a progressive one scans may be.

        Pillow stops at the end of data with an error unless all rows are there; it looks a few bytes ahead.
        """
        if self.kind not in _SEQUENTIAL or self.buffered:
            raise BadImage("this JPEG file is truncated: expected an end-of-image marker after the scans, got none")
        try:
            with pillow.open_image(self.data + bytes(16), "JPEG") as opened:
                pillow.load(opened, "JPEG")
        except BadImage:
            raise BadImage(
                "this JPEG file is truncated: expected all rows or an end-of-image marker, got neither"
            ) from None


def reduction(image_hw: SizeHW, target_hw: SizeHW | None) -> int:
    """Largest of 8, 4, 2, 1 by which the image may shrink and still cover the target on both sides.

    Only divisors of both sides count: then each pixel stands for exactly f x f of the original and geometry stays
    exact. Otherwise the last row and column would be padded, and the far edge off by up to 7 original pixels.
    """
    if target_hw is None:
        return 1
    sides = list(zip(image_hw, target_hw, strict=True))
    return next((f for f in (8, 4, 2) if all(side % f == 0 and side // f >= want for side, want in sides)), 1)


class _Walk:
    """What the segments before the first scan state."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.scan_at = 0
        self.scan_components = 0
        self.frame = b""  # SOF's content: bits, height, width, components
        self.kind = 0
        self.exif = b""
        self.exif_segments = 0
        self.icc: dict[int, bytes] = {}
        self.icc_parts = 0
        self._walk()

    def _walk(self) -> None:
        data, at, segments, foreign = self.data, 2, 0, 0
        while (found := data.find(b"\xff", at)) >= 0 and found + 4 <= len(data):
            foreign += found - at
            marker = data[found + 1]
            if marker in (0x00, 0xFF):  # no marker, or a fill byte: one byte a step
                at, foreign = found + 1, foreign + 1
            elif marker in _STANDALONE:
                at, foreign = found + 2, foreign + 2
            elif marker in (_SOI, _EOI):
                return
            else:
                length = max(2, int.from_bytes(data[found + 2 : found + 4], "big"))
                at, segments = found + 2 + length, segments + 1
                self._segment(marker, found + 4, at)
                if marker == _SOS:
                    self.scan_at = found
                    return
            at_most(segments, MAX_SEGMENTS, "JPEG segments")
            at_most(foreign, MAX_FOREIGN_BYTES, "bytes between JPEG segments")

    def _segment(self, marker: int, start: int, end: int) -> None:
        data = self.data
        if marker in _FRAME_HEADERS:
            self.kind, self.frame = marker, data[start : min(end, start + 6)]
        elif marker == _SOS:
            self.scan_components = data[start] if start < len(data) else 0
        elif marker == _APP1 and data.startswith(b"Exif\0", start):
            self.exif = self.exif or data[start:end]
            self.exif_segments += 1
            at_most(self.exif_segments, MAX_EXIF_SEGMENTS, "Exif segments")
        elif marker == _APP2 and data.startswith(b"ICC_PROFILE\0", start) and end - start > 14:
            self.icc[data[start + 12]], self.icc_parts = data[start + 14 : end], data[start + 13]

    @property
    def profile(self) -> bytes:
        """The ICC profile of all its parts; empty: none, or parts are missing."""
        parts = [self.icc.get(number, b"") for number in range(1, self.icc_parts + 1)]
        return b"".join(parts) if all(parts) else b""


def read(data: bytes) -> Jpeg:
    """Header of a JPEG.

    Raises:
        BadImage: no frame header or no scan, or too many segments or scans. UnsupportedImage: 12 bits, hierarchical, …
    """
    walk = _Walk(data)
    if len(walk.frame) < 6:
        raise BadImage("the header of this JPEG file is damaged: expected a frame header before the first scan")
    bits, height, width, components = struct.unpack(">BHHB", walk.frame)
    _check_kind(walk.kind, bits, components)
    if not height or not width:
        raise BadImage(f"the header of this JPEG file is damaged: it states {width} x {height} pixels")
    if not walk.scan_at:
        raise BadImage("this JPEG file is truncated: expected a scan behind the frame header, got none")
    buffered = walk.kind in _PROGRESSIVE or walk.scan_components != components
    if buffered:
        _bound_scans(data, height * width, arithmetic=walk.kind in _ARITHMETIC)
    orientation = exif_orientation(walk.exif)
    return Jpeg(
        data, (height, width), orientation, walk.profile, walk.scan_at, walk.kind, components, walk.scan_at, buffered
    )


def _check_kind(kind: int, bits: int, components: int) -> None:
    if bits != 8:
        raise UnsupportedImage(f"a JPEG of {bits} bits a sample is not supported; expected 8")
    if kind not in _SEQUENTIAL | _PROGRESSIVE | {_SOF3}:
        name = _KINDS.get(kind, "hierarchical or otherwise rare")
        raise UnsupportedImage(f"a JPEG of this kind ({name}, SOF{kind - 0xC0}) is not supported")
    if components not in (1, 3, 4):
        raise UnsupportedImage(f"a JPEG of {components} components is not supported; expected 1, 3 or 4")


def _bound_scans(data: bytes, pixels: int, *, arithmetic: bool) -> None:
    scans = data.count(b"\xff\xda")  # an upper bound: a thumbnail's scan counts too
    limit = MAX_SCAN_PIXELS // (_ARITHMETIC_COST if arithmetic else 1)
    if scans * pixels > limit:
        raise BadImage(f"expected at most {limit // pixels} scans in a JPEG file of {pixels} pixels, got {scans}")
