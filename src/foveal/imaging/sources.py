"""Image sources: paths, bytes, file objects, Pillow images and arrays, all made into decoded pixels (`load`)."""

import io
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadImage
from foveal.imaging.decode import MAX_PIXELS, Decoded, DecodeTarget, decode, from_pillow
from foveal.imaging.formats import check_size

ImageSource = (
    bytes | bytearray | memoryview | os.PathLike[str] | str | IO[bytes] | Image.Image | npt.NDArray[np.uint8] | Decoded
)


def load(
    source: ImageSource,
    *,
    target_hw: DecodeTarget = None,
    max_pixels: int = MAX_PIXELS,
    colour_managed: bool = True,
) -> Decoded:
    """Pixels of an image, upright.

    Args:
        source: encoded bytes, a path, a file object opened for reading bytes, a Pillow image (any mode that `decode`
            reads from a file; its EXIF orientation is applied), or an array (height, width, 3) uint8 RGB. A file object
            is read from where it stands, and put back there where it can seek.
        target_hw: as for `decode`; only encoded images can be decoded at a reduced size.
        max_pixels: limit on width x height.
        colour_managed: as for `decode`.

    Raises:
        BadImage: it cannot be read or decoded, or it is none of these. ImageTooLarge: over the limit.
    """
    if isinstance(source, Decoded):
        return source
    if isinstance(source, np.ndarray):
        decoded = Decoded.of_array(source)
        check_size(decoded.image_hw, max_pixels)
        return decoded
    if isinstance(source, Image.Image):
        return from_pillow(source, max_pixels=max_pixels, colour_managed=colour_managed)
    return decode(_encoded(source), target_hw=target_hw, max_pixels=max_pixels, colour_managed=colour_managed)


def _encoded(source: Any) -> bytes:
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            return bytes(source)
        if isinstance(source, str | os.PathLike):
            return Path(os.fsdecode(source)).read_bytes()
        if not isinstance(source, io.TextIOBase) and callable(getattr(source, "read", None)):
            return _read(source)
    except (OSError, ValueError) as error:  # ValueError: closed, released, or a path with a null byte
        reason = getattr(error, "strerror", None) or error
        name = getattr(source, "name", source) if hasattr(source, "read") else source
        raise BadImage(f"{name!s:.200}: expected a readable file: {reason}") from None
    raise BadImage(
        "expected a path, bytes, a file object opened for reading bytes, a Pillow image, an array "
        f"(height, width, 3) of uint8 RGB, or a list of these, got {type(source).__name__}"
    )


def _read(file: Any) -> bytes:
    """What is left of a file object, which is put back to where it stood: it may be needed again, for drawing."""
    seekable = callable(getattr(file, "seekable", None)) and file.seekable()
    start = file.tell() if seekable else None
    data = file.read()
    if start is not None:
        file.seek(start)
    if not isinstance(data, bytes | bytearray):
        raise BadImage(f"expected a file object that reads bytes, got {type(data).__name__} from it")
    if not data and start:
        raise BadImage(f"expected the bytes of an image, got 0 bytes: the file object stands at byte {start}, its end")
    return bytes(data)
