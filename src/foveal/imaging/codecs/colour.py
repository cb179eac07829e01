"""Colour management: pixels with an embedded ICC profile -> sRGB, by Pillow's littleCMS, the same wherever we decode.

The profile's perceptual intent without black point compensation is used, which is `tificc`'s default and what Chrome
does; for the matrix profiles of cameras and screens (Display P3, Adobe RGB, ProPhoto) all intents are the same. What
cannot be used is ignored, as browsers do: damaged profiles, profiles over `MAX_PROFILE_BYTES`, and those of another
colour space than the pixels'.
"""

import io
import re
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageCms

from foveal.imaging.codecs.encoded import UInt8Array, strips

MAX_PROFILE_BYTES = 4_000_000  # those of printing presses reach 3 MB
_CACHED = 8  # transforms: of most streams all images have the same profile
_IDENTITY = 1  # a profile that moves no value further than this is sRGB under another name

_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
_MAX_TAGS = 100  # littleCMS refuses more
_FLOAT_TAG = re.compile(rb"D2B\d|B2D\d")
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")  # input, display, output, colour space


class Transform:
    """Pixels of a Pillow mode -> sRGB. Threads may share one."""

    def __init__(self, profile: ImageCms.ImageCmsProfile, mode: str, intent: ImageCms.Intent) -> None:
        # Of grey littleCMS makes a table of 33 steps, 10 of 255 off in the shadows: all 256 values are asked for once.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        self._cms = ImageCms.ImageCmsTransform(profile, _srgb(), mode, "RGB", intent, flags=flags)
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        self.table = np.asarray(self._cms.apply(ramp)) if mode == "L" else None

    def rgb(self, pixels: Image.Image) -> UInt8Array:
        """HWC uint8 sRGB."""
        return np.asarray(self._cms.apply(pixels)) if self.table is None else self.table[0][np.asarray(pixels)]


def array_to_srgb(rgb: UInt8Array, profile: bytes, *, grey: bool) -> None:
    """Convert pixels in place; `grey`: three equal channels, whose profile is one of grey values."""
    if (transform := to_srgb(profile, "L" if grey else "RGB")) is None:
        return
    if transform.table is not None:
        cv2.LUT(rgb, transform.table, rgb)
        return
    for rows in strips((rgb.shape[0], rgb.shape[1])):
        rgb[rows] = transform.rgb(Image.fromarray(rgb[rows]))


def to_srgb(profile: bytes, mode: str) -> Transform | None:
    """The transform from images of a Pillow mode (RGB, L, CMYK, LAB) to RGB; None: there is nothing to convert.

    Args:
        profile: an ICC profile, possibly hostile; empty: none.
        mode: of the pixels; LAB has its meaning without a profile.
    """
    if mode == "LAB":
        return _lab()
    if mode not in _SPACES or not 128 < len(profile) <= MAX_PROFILE_BYTES:
        return None
    if profile[16:20] != _SPACES[mode] or profile[12:16] not in _CLASSES:
        return None
    return _transform(profile, mode)


@lru_cache(maxsize=_CACHED)
def _transform(profile: bytes, mode: str) -> Transform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(_without_float_tables(profile)))
        transform = Transform(source, mode, ImageCms.Intent.PERCEPTUAL)
        ramp = np.arange(0, 256, 17, dtype=np.uint8)
        if mode == "L":
            probe = Image.fromarray(ramp[None])
        else:
            probe = Image.merge(mode, [Image.fromarray(c.reshape(16, -1)) for c in np.meshgrid(*[ramp] * len(mode))])
        moved = transform.rgb(probe).astype(np.int16) - np.asarray(probe.convert("RGB"))
    except Exception:  # damaged metadata never costs the image
        return None
    return transform if np.abs(moved).max() > _IDENTITY else None


def _without_float_tables(profile: bytes) -> bytes:
    """Rename the tags D2Bx and B2Dx, so that littleCMS takes the tables of integers that stand beside them.

    Their elements are a list of unbounded length over the same bytes: 345 bytes of PNG asked for 8 s a megapixel.
    """
    count = min(int.from_bytes(profile[128:132], "big"), _MAX_TAGS)
    entries = [profile[at : at + 12] for at in range(132, 132 + 12 * count, 12)]
    kept = [b"fvl%c" % i + entry[4:] if _FLOAT_TAG.match(entry) else entry for i, entry in enumerate(entries)]
    return profile[:132] + b"".join(kept) + profile[132 + 12 * count :]


@lru_cache(maxsize=1)
def _lab() -> Transform:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return Transform(lab, "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
