"""Memory of decoding (`decode_bytes_bound`): an upper bound from a file's first bytes, before any pixel is decoded."""

import io

from PIL import Image

from foveal.imaging.decode import FORMATS

BYTES_PER_PIXEL = {  # at most, of all modes and variants of a format: measured at 64 megapixels, the result included
    "JPEG": 15,
    "MPO": 15,
    "PNG": 12,
    "BMP": 9,
    "GIF": 12,
    "TIFF": 20,
    "WEBP": 20,
    "AVIF": 24,
}
FIXED_BYTES = 4_000_000


def decode_bytes_bound(data: bytes) -> int:
    """Bytes of memory that `decode` takes for a file at most, its result included and `data` not.

    Args:
        data: the whole file. What is no image that Foveal reads costs only the fixed part: `decode` refuses it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            pixels, per_pixel = opened.width * opened.height, BYTES_PER_PIXEL[opened.format or "TIFF"]
    except Exception:  # see decode._open
        return FIXED_BYTES + len(data)
    return FIXED_BYTES + len(data) + pixels * per_pixel
