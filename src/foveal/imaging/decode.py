"""Image decoding (`decode`): bytes -> HWC uint8 RGB. The only decoder: training, evaluation, CLI and service use it.

Rules, the same for every container:
- The bytes decide the format, never a file name or a declared type.
- The header is read first; too many bytes or pixels are refused before anything is decoded.
- EXIF orientation 1-8 is applied once, here.
- Alpha is laid over white. 16-bit samples keep their high byte. Grey becomes three equal channels; CMYK, palette and
  YCbCr are converted to RGB. Of animations and multi-page files the first frame is taken.
- JPEG goes through OpenCV (libjpeg-turbo, with reduced decode); everything else through Pillow. At full size the two
  give the same pixels (tested), so the split is only about speed.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from foveal.errors import BadImage, ImageTooLarge, UnsupportedImage
from foveal.imaging import containers

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
MAX_BYTES = 64 * 1000 * 1000
MAX_PIXELS = 64 * 1000 * 1000
DecodeTarget = tuple[int, int] | Callable[[tuple[int, int]], tuple[int, int] | None] | None
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")

_BMP_RUN_LENGTHS = (1, 2)  # BI_RLE8, BI_RLE4
_STRIP_PIXELS = 1 << 20
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image say, before decoding. `image_hw` is the size AFTER EXIF orientation."""

    format: str
    image_hw: tuple[int, int]
    exif_orientation: int


@dataclass(frozen=True)
class Decoded:
    """An image in memory. `rgb` is HWC uint8, upright; smaller than `image_hw` only after a reduced decode."""

    rgb: npt.NDArray[np.uint8]
    image_hw: tuple[int, int]
    exif_orientation: int = 1

    @classmethod
    def of_array(cls, rgb: npt.NDArray[np.uint8]) -> "Decoded":
        """Wrap pixels that are already in memory: HWC uint8 RGB, upright."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
            advice = "; grey or transparent pixels: pass PIL.Image.fromarray(…)" if rgb.dtype == np.uint8 else ""
            raise BadImage(
                f"expected an array (height, width, 3) of uint8 RGB, got shape {rgb.shape} {rgb.dtype}{advice}"
            )
        height, width = rgb.shape[:2]
        return cls(np.ascontiguousarray(rgb), (height, width))


def decode(
    data: bytes,
    *,
    target_hw: DecodeTarget = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> Decoded:
    """Decode one image to upright RGB.

    Args:
        data: the bytes of a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF file.
        target_hw: the (height, width), upright, that the caller needs at least. JPEG is then decoded at the smallest
            of 1/1, 1/2, 1/4, 1/8 that covers it and divides both sides evenly. A function gets the image's upright
            (height, width) and returns that. None: full size.
        max_pixels: limit on width x height as the header states them.
        max_bytes: limit on len(data).

    Raises:
        UnsupportedImage: not one of the formats. BadImage: empty, truncated or corrupt. ImageTooLarge: over a limit.
    """
    opened, header = _open(data, max_pixels, max_bytes)
    if callable(target_hw):
        target_hw = target_hw(header.image_hw)
    with opened:
        if opened.format in ("JPEG", "MPO") and opened.mode in ("RGB", "L"):
            rgb = _decode_jpeg(data, header, target_hw)
        elif opened.format == "BMP" and opened.info.get("compression") in _BMP_RUN_LENGTHS:
            rgb = _decode_opencv(data, cv2.IMREAD_COLOR, "BMP")  # Pillow's decoder of runs is a loop in Python
        else:
            _load(opened)
            rgb = _rgb_of(opened)
    return Decoded(_upright(rgb, header), header.image_hw, header.exif_orientation)


def read_header(data: bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Header:
    """Format, upright size and orientation without decoding the pixels. Raises as `decode` does."""
    opened, header = _open(data, max_pixels, max_bytes)
    opened.close()
    return header


def from_pillow(image: Image.Image) -> Decoded:
    """Pixels of a Pillow image under the rules above: what `decode` gives for the same image in a file.

    Raises:
        BadImage: its file is damaged, its samples have 32 bits, or it has no pixels.
    """
    if not all(image.size):
        raise BadImage(f"expected an image with pixels, got one of {image.width} x {image.height}")
    _load(image)  # a TIFF file's orientation is applied, and forgotten, here
    orientation = _orientation(image)
    rgb = _turned(_rgb_of(image), orientation)
    height, width = rgb.shape[:2]
    return Decoded(rgb, (height, width), orientation)


def _open(data: bytes, max_pixels: int, max_bytes: int) -> tuple[Image.Image, Header]:
    if len(data) > max_bytes:
        raise ImageTooLarge(f"expected at most {max_bytes} bytes, got {len(data)}")
    if not data:
        raise BadImage("expected the bytes of an image, got 0 bytes")
    containers.check(_signature(data) or "", data, max_pixels)
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"expected at most {max_pixels} pixels: {error}") from None
    except Exception as error:  # Pillow's parsers raise a dozen types on hostile bytes; all mean the same to a caller
        if _signature(data):
            # "cannot identify" would go on with an object's address: the same bytes must give the same words
            why = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
            raise BadImage(f"the header of this {_signature(data)} file is damaged{why}") from None
        raise UnsupportedImage(f"expected one of {', '.join(FORMATS)}; the bytes start with {data[:8]!r}") from None
    width, height = opened.size
    if width * height > max_pixels:
        raise ImageTooLarge(f"expected at most {max_pixels} pixels, got {width} x {height} = {width * height}")
    orientation = _orientation(opened)
    swapped = orientation >= 5 and opened.format != "TIFF"  # Pillow reports TIFF sizes upright already
    image_hw = (width, height) if swapped else (height, width)
    return opened, Header(_format_name(opened), image_hw, orientation)


def _format_name(opened: Image.Image) -> str:
    if opened.format is None:  # a Pillow image that came from no file
        return f"Pillow {opened.mode}"
    return "JPEG" if opened.format == "MPO" else opened.format  # MPO: a JPEG with more images behind it


def _signature(data: bytes) -> str | None:
    """The format that the first bytes promise: tells a damaged image (422) from no image at all (415)."""
    starts = {
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG\r\n\x1a\n": "PNG",
        b"GIF87a": "GIF",
        b"GIF89a": "GIF",
        b"BM": "BMP",
        b"II*\0": "TIFF",
        b"MM\0*": "TIFF",
    }
    for magic, name in starts.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return None


def _orientation(opened: Image.Image) -> int:
    if opened.format == "PNG":
        _load(opened)  # a PNG may carry its EXIF behind the pixels
    try:
        value = opened.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata never costs the image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _load(opened: Image.Image) -> None:
    try:
        opened.load()
    except Exception as error:  # see _open
        raise BadImage(f"this {_format_name(opened)} file is truncated or corrupt: {error}") from None


def _decode_jpeg(data: bytes, header: Header, target_hw: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    scan = _jpeg_scan_offset(data)
    if scan is None or data.rfind(b"\xff\xd9") < scan:  # OpenCV fills what is missing with grey and says nothing
        raise BadImage("this JPEG file is truncated: expected an end-of-image marker after the scan, got none")
    flag = _REDUCED.get(_reduction(header.image_hw, target_hw), cv2.IMREAD_COLOR)
    return _decode_opencv(data, flag, "JPEG")


def _decode_opencv(data: bytes, flag: int, format_name: str) -> npt.NDArray[np.uint8]:
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage(f"this {format_name} file is corrupt: {error.err}") from None
    if bgr is None:
        raise BadImage(f"this {format_name} file is corrupt: the decoder gave no image")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _reduction(image_hw: tuple[int, int], target_hw: tuple[int, int] | None) -> int:
    """Largest of 8, 4, 2, 1 by which the image may shrink and still cover the target on both sides.

    Only divisors of both sides count: then each pixel stands for exactly f x f of the original and geometry stays
    exact. Otherwise the last row and column would be padded, and the far edge off by up to 7 original pixels.
    """
    if target_hw is None:
        return 1
    sides = list(zip(image_hw, target_hw, strict=True))
    return next((f for f in (8, 4, 2) if all(side % f == 0 and side // f >= want for side, want in sides)), 1)


def _jpeg_scan_offset(data: bytes) -> int | None:
    """Where the first scan of the main image starts; walks the segments, so that a thumbnail's scan never counts."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return at
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # no length
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _rgb_of(opened: Image.Image) -> npt.NDArray[np.uint8]:
    """A loaded Pillow image of any mode -> HWC uint8 RGB, in strips: memory is the image's and the result's alone."""
    if opened.mode in ("I", "F"):
        raise BadImage(f"expected 8 or 16 bits a sample, got 32 (Pillow mode {opened.mode})")
    width, height = opened.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // max(1, width))
    try:
        for top in range(0, height, rows):
            strip = opened.crop((0, top, width, min(height, top + rows)))
            strip.info = opened.info  # a transparent colour is stated there
            rgb[top : top + rows] = _strip_rgb(strip, transparent=opened.has_transparency_data)
    except Exception as error:  # see _open
        raise BadImage(f"this {_format_name(opened)} file cannot be converted to RGB: {error}") from None
    return rgb


def _strip_rgb(strip: Image.Image, *, transparent: bool) -> npt.NDArray[np.uint8]:
    if strip.mode.startswith("I;16"):
        grey = (np.asarray(strip).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if transparent:
        return _over_white(np.asarray(strip.convert("RGBA")))
    return np.asarray(strip.convert("RGB"))


def _over_white(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    return ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _upright(rgb: npt.NDArray[np.uint8], header: Header) -> npt.NDArray[np.uint8]:
    """Undo the EXIF orientation (https://exiftool.org/TagNames/EXIF.html, tag 0x0112)."""
    # Pillow turned TIFF while loading
    return np.ascontiguousarray(rgb) if header.format == "TIFF" else _turned(rgb, header.exif_orientation)


def _turned(rgb: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    if turn >= 5:
        rgb = rgb.transpose(1, 0, 2)
    if turn in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    if turn in (3, 4, 7, 8):
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)
