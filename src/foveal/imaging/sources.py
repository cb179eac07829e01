"""Image sources: paths, bytes, file objects, Pillow images and arrays, all made into decoded pixels (`load`)."""

from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadImage
from foveal.imaging.decode import MAX_PIXELS, Decoded, DecodeTarget, decode, from_pillow

ImageSource = bytes | bytearray | memoryview | Path | str | IO[bytes] | Image.Image | npt.NDArray[np.uint8] | Decoded


def load(source: ImageSource, *, target_hw: DecodeTarget = None, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Pixels of an image, upright.

    Args:
        source: encoded bytes, a path, a file object opened for reading bytes, a Pillow image (any mode that `decode`
            reads from a file; its EXIF orientation is applied), or an array (height, width, 3) uint8 RGB.
        target_hw: as for `decode`; only encoded images can be decoded at a reduced size.
        max_pixels: limit on width x height of encoded images.

    Raises:
        BadImage: it cannot be read or decoded, or it is none of these.
    """
    if isinstance(source, Decoded):
        return source
    if isinstance(source, np.ndarray):
        return Decoded.of_array(source)
    if isinstance(source, Image.Image):
        return from_pillow(source)
    return decode(_encoded(source), target_hw=target_hw, max_pixels=max_pixels)


def _encoded(source: Any) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    try:
        if isinstance(source, str | Path):
            return Path(source).read_bytes()
        if callable(getattr(source, "read", None)) and isinstance(data := source.read(), bytes):
            return data
    except (OSError, ValueError) as error:  # ValueError: a closed file, or a path with a null byte
        reason = getattr(error, "strerror", None) or error
        raise BadImage(f"{getattr(source, 'name', source)!s:.200}: expected a readable file: {reason}") from None
    raise BadImage(
        "expected a path, bytes, a file object opened for reading bytes, a Pillow image or an array "
        f"(height, width, 3) of uint8 RGB, got {type(source).__name__}"
    )
