"""Pillow images of any mode -> RGB pixels (`rgb_of`), and the formats that need no more than that: GIF, BMP."""

import io
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from foveal.errors import BadImage, FovealError, ImageTooLarge, UnsupportedImage
from foveal.imaging.codecs import colour
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array, at_most, strips

MAX_GIF_STEPS = 16_384  # blocks and sub-blocks before the first frame

_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}  # by bands
_BMP_RUN_LENGTHS = (1, 2)  # BI_RLE8, BI_RLE4


def open_image(data: bytes, format_name: str, stored_hw: SizeHW | None = None) -> Image.Image:
    """Open a file of a known format with Pillow, unloaded.

    Raises:
        BadImage: its header is damaged, or states another size than `stored_hw`. ImageTooLarge: far too many pixels.
    """
    try:
        opened = Image.open(io.BytesIO(data), formats=[format_name])
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageTooLarge(f"expected at most {limit} pixels, the header states more") from None
    except FovealError:
        raise
    except Exception as error:  # Pillow's parsers raise a dozen types on hostile bytes; all mean the same to a caller
        # "cannot identify" would go on with an object's address: the same bytes must give the same words
        why = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise BadImage(f"the header of this {format_name} file is damaged{why}") from None
    if stored_hw and opened.size[::-1] != stored_hw:
        raise BadImage(
            f"the header of this {format_name} file is damaged: it states {stored_hw[1]} x {stored_hw[0]} pixels "
            f"and {opened.width} x {opened.height}"
        )
    return opened


def pixels(image: EncodedImage) -> UInt8Array:
    """Decode a file of which Pillow's pixels need no correction but `rgb_of`.

    Raises:
        BadImage: damaged, or of another size than its header was found to state.
    """
    with open_image(image.data, image.format, image.stored_hw) as opened:
        load(opened, image.format)
        return rgb_of(opened, image.profile, image.format)


def load(opened: Image.Image, format_name: str) -> None:
    """Decode. Raises BadImage on damage."""
    try:
        opened.load()
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"this {format_name} file has more pixels than its header states") from None
    except Exception as error:  # see open_image
        raise BadImage(f"this {format_name} file is truncated or corrupt: {error}") from None


def rgb_of(opened: Image.Image, profile: bytes, format_name: str) -> UInt8Array:
    """A loaded Pillow image of any mode -> HWC uint8 sRGB, in strips: memory is the image's and the result's alone.

    Raises:
        UnsupportedImage: its samples have 32 bits. BadImage: it cannot be converted.
    """
    if opened.mode in ("I", "F"):
        raise UnsupportedImage(f"expected 8 or 16 bits a sample, got 32 (Pillow mode {opened.mode}): not supported")
    base = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(opened.mode, "RGB")
    if opened.mode.startswith("I;16"):
        base = "L"
    transform = colour.to_srgb(profile, base)
    width, height = opened.size
    rgb = np.empty((height, width, 3), np.uint8)
    try:
        for rows in strips((height, width)):
            strip = opened.crop((0, rows.start, width, rows.stop))
            strip.info = opened.info  # a transparent colour is stated there
            rgb[rows] = _strip_rgb(strip, base, transform, transparent=opened.has_transparency_data)
    except Exception as error:  # see open_image
        raise BadImage(f"this {format_name} image cannot be converted to RGB: {error}") from None
    return rgb


def _strip_rgb(strip: Image.Image, base: str, transform: colour.Transform | None, *, transparent: bool) -> UInt8Array:
    """One strip; `base`: the mode of its colours without transparency."""
    alpha = None
    if strip.mode.startswith("I;16"):
        deep = np.asarray(strip).astype(np.uint16)
        if transparent:
            alpha = np.where(deep == strip.info["transparency"], 0, 255).astype(np.uint8)
        strip = Image.fromarray((deep >> 8).astype(np.uint8))
    elif transparent:
        strip = strip.convert("RGBA" if base == "RGB" or strip.mode == "1" else "LA")
        alpha = np.asarray(strip.getchannel("A"))
        base = "RGB" if strip.mode == "RGBA" else "L"
    colours = strip.convert(base)
    rgb = transform.rgb(colours) if transform else np.asarray(colours.convert("RGB"))
    return rgb if alpha is None else over_white(rgb, alpha)


def over_white(rgb: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """Lay HWC pixels over white by their alpha (H, W)."""
    opacity = alpha[:, :, None].astype(np.uint16)
    return ((rgb * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


@dataclass(frozen=True)
class Gif(EncodedImage):
    """The first frame of a GIF."""

    format: ClassVar[str] = "GIF"

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        return pixels(self)


@dataclass(frozen=True)
class Bmp(EncodedImage):
    """A BMP. Pillow's decoder of runs is a loop in Python: those go through OpenCV."""

    format: ClassVar[str] = "BMP"
    run_lengths: bool = False

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        return opencv_rgb(self.data, cv2.IMREAD_COLOR_RGB, "BMP") if self.run_lengths else pixels(self)


def opencv_pixels(image: EncodedImage) -> UInt8Array:
    """Decode a file of 8 bits a sample by OpenCV, and lay its alpha over white.

    Raises:
        BadImage: damaged, or of another size or depth than its header was found to state.
    """
    try:
        bgr = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise BadImage(f"this {image.format} file is truncated or corrupt: {error.err}") from None
    if bgr is None or bgr.dtype != np.uint8 or bgr.shape[:2] != image.stored_hw:
        raise BadImage(f"this {image.format} file is truncated or corrupt: the decoder gave no image")
    bgr = bgr.astype(np.uint8, copy=False).reshape(*image.stored_hw, -1)
    rgb = np.empty((*image.stored_hw, 3), np.uint8)
    for rows in strips(image.stored_hw):
        part = rgb[rows]
        cv2.cvtColor(bgr[rows], _TO_RGB[bgr.shape[2]], dst=part)
        colour.array_to_srgb(part, image.profile, grey=False)
        if bgr.shape[2] == 4:
            part[:] = over_white(part, bgr[rows, :, 3])
    return rgb


def read_gif(data: bytes) -> Gif:
    """Header of a GIF."""
    _bound_gif(data)
    opened = open_image(data, "GIF")
    return Gif(data, opened.size[::-1], profile=opened.info.get("icc_profile") or b"")


def read_bmp(data: bytes) -> Bmp:
    """Header of a BMP."""
    opened = open_image(data, "BMP")
    return Bmp(data, opened.size[::-1], run_lengths=opened.info.get("compression") in _BMP_RUN_LENGTHS)


def opencv_rgb(data: bytes, flag: int, format_name: str) -> UInt8Array:
    """Decode by OpenCV with a flag that gives 8-bit RGB.

    Raises:
        BadImage: damaged.
    """
    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage(f"this {format_name} file is corrupt: {error.err}") from None
    if rgb is None:
        raise BadImage(f"this {format_name} file is corrupt: the decoder gave no image")
    return rgb.astype(np.uint8, copy=False)


def _bound_gif(data: bytes) -> None:
    if len(data) < 13:
        return
    at, steps = 13 + (3 << (data[10] % 8 + 1) if data[10] & 0x80 else 0), 0  # behind the global palette
    while at < len(data) and data[at] != ord(","):  # until the first frame
        extension = data[at] == ord("!")
        at += 2 if extension else 1  # Pillow passes over what is neither
        while extension and at < len(data) and data[at]:  # sub-blocks, each behind its size
            at, steps = at + 1 + data[at], steps + 1
            at_most(steps, MAX_GIF_STEPS, "GIF blocks before the first frame")
        at, steps = at + extension, steps + 1
        at_most(steps, MAX_GIF_STEPS, "GIF blocks before the first frame")
