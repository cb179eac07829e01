"""Memory of decoding (`decode_bytes_bound`): an upper bound from a file's header, before any pixel is decoded."""

from foveal.errors import BadImage
from foveal.imaging import formats

_WORK_BYTES = 16_000_000  # strips in conversion, colour transforms, tables
_ERROR_BYTES = 1_000_000


def decode_bytes_bound(data: bytes, *, max_pixels: int = formats.MAX_PIXELS, max_bytes: int = formats.MAX_BYTES) -> int:
    """Bytes of memory that `decode` takes for a file at most, its result included and `data` not.

    What `decode` refuses from the header costs next to nothing. A JPEG of 100 kB: some 50 microseconds.

    Args:
        data: the whole file.
        max_pixels: limit on width x height, as for `decode`.
        max_bytes: limit on len(data), as for `decode`.
    """
    try:
        image = formats.read(data, max_pixels, max_bytes)
    except BadImage:
        return _ERROR_BYTES
    pixels = image.stored_hw[0] * image.stored_hw[1]
    pixel_bytes = max(image.pixel_bytes, 6.0 if image.turn != 1 else 0.0)  # a turned result is a second copy
    return int(pixels * pixel_bytes) + image.fixed_bytes + min(_WORK_BYTES, 40 * pixels + 1_000_000)
