"""Image decoding (`decode`): bytes -> HWC uint8 sRGB. The only decoder: training, evaluation, CLI and service use it.

Rules, the same for every container:
- The bytes decide the format, never a file name or a declared type.
- The header is read first; too many bytes, pixels or passes over them are refused before anything is decoded.
- EXIF orientation 1-8 is applied once, here. Nothing else turns an image (not XMP).
- An embedded ICC profile is converted to sRGB (codecs/colour.py); without one, colours are taken to be sRGB.
- Alpha is laid over white. 16-bit samples keep their high byte. Grey becomes three equal channels; CMYK, palette,
  YCbCr and CIELab are converted to RGB. Of animations and multi-page files the first frame is taken.
- What is damaged (BadImage) and what is not supported (UnsupportedImage) are different errors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadImage
from foveal.imaging import formats
from foveal.imaging.codecs import pillow, tiff
from foveal.imaging.codecs.encoded import exif_orientation, upright
from foveal.imaging.formats import FORMATS as FORMATS
from foveal.imaging.formats import MAX_BYTES as MAX_BYTES
from foveal.imaging.formats import MAX_PIXELS as MAX_PIXELS

DecodeTarget = tuple[int, int] | Callable[[tuple[int, int]], tuple[int, int] | None] | None


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
    colour_managed: bool = True,
) -> Decoded:
    """Decode one image to upright RGB.

    Args:
        data: the bytes of a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC file.
        target_hw: the (height, width), upright, that the caller needs at least. JPEG is then decoded at the smallest
            of 1/1, 1/2, 1/4, 1/8 that covers it and divides both sides evenly. A function gets the image's upright
            (height, width) and returns that. None: full size.
        max_pixels: limit on width x height as the header states them.
        max_bytes: limit on len(data).
        colour_managed: convert by an embedded ICC profile to sRGB; else the stored numbers are taken as they are.

    Raises:
        UnsupportedImage: not one of the formats, or a variant that is not read. BadImage: empty, truncated or corrupt.
        ImageTooLarge: over a limit.
    """
    image = formats.read(data, max_pixels, max_bytes)
    if not colour_managed and image.profile:
        image = replace(image, profile=b"")
    wanted = target_hw(image.image_hw) if callable(target_hw) else target_hw
    if wanted is not None and image.orientation >= 5:
        wanted = wanted[::-1]
    rgb = upright(image.pixels(wanted), image.turn)
    if rgb.shape[:2] != image.image_hw and (wanted is None or rgb.size > 3 * math.prod(image.image_hw)):
        (height, width), (got_height, got_width) = image.image_hw, rgb.shape[:2]
        raise BadImage(
            f"this {image.format} file is corrupt: its header states {width} x {height} pixels, "
            f"it has {got_width} x {got_height}"
        )
    return Decoded(rgb, image.image_hw, image.orientation)


def read_header(data: bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Header:
    """Format, upright size and orientation without decoding the pixels. Raises as `decode` does."""
    image = formats.read(data, max_pixels, max_bytes)
    return Header(image.format, image.image_hw, image.orientation)


def from_pillow(image: Image.Image, *, max_pixels: int = MAX_PIXELS, colour_managed: bool = True) -> Decoded:
    """Pixels of a Pillow image under the rules above: what `decode` gives for the same image in a file.

    Raises:
        BadImage: its file is damaged, or it has no pixels. UnsupportedImage: its samples have 32 bits.
        ImageTooLarge: over the limit.
    """
    if not all(image.size):
        raise BadImage(f"expected an image with pixels, got one of {image.width} x {image.height}")
    formats.check_size(image.size[::-1], max_pixels)
    name = image.format or f"Pillow {image.mode}"
    if name == "TIFF":
        image.info.pop("xmp", None)  # its orientation would be applied while loading, as the file's own is
    pillow.load(image, name)
    orientation = _orientation_of(image) if name != "TIFF" else 1
    profile = (image.info.get("icc_profile") or b"") if colour_managed else b""
    rgb = upright(pillow.rgb_of(tiff.with_full_range(image), profile, name), orientation)
    return Decoded(rgb, (rgb.shape[0], rgb.shape[1]), orientation)


def _orientation_of(image: Image.Image) -> int:
    """What a Pillow image's EXIF states, and not its XMP or ImageMagick's text, which `getexif` looks into as well."""
    if {"xmp", "XML:com.adobe.xmp", "Raw profile type exif"} & image.info.keys():
        return exif_orientation(image.info.get("exif") or b"")
    return exif_orientation(image.getexif().tobytes())
