"""Memory of decoding (`decode_bytes_bound`): an upper bound from a file's header, before any pixel is decoded."""

from foveal.errors import BadImage
from foveal.imaging import formats
from foveal.imaging.codecs.encoded import STRIP_PIXELS

_STRIP_BYTES = 48  # a pixel of a strip in conversion
_ROW_BYTES = 16  # Pillow's pointers to rows
_METADATA_COPIES = 5  # Pillow, libtiff, libheif, littleCMS, and ours
_WORK_BYTES = 3_000_000  # colour transforms, tables
_ERROR_BYTES_A_BYTE, _MAX_ERROR_BYTES = 15, 24_000_000  # lists of chunks and tags, in files that have too many


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
        return _WORK_BYTES + min(_MAX_ERROR_BYTES, _ERROR_BYTES_A_BYTE * len(data))
    pixels = image.stored_hw[0] * image.stored_hw[1]
    pixel_bytes = max(image.pixel_bytes, 6.0 if image.turn != 1 else 0.0)  # a turned result is a second copy
    strip = min(pixels, max(STRIP_PIXELS, *image.stored_hw))
    rows = _ROW_BYTES * max(image.stored_hw)
    fixed = image.fixed_bytes + _METADATA_COPIES * image.metadata_bytes + _WORK_BYTES
    return int(pixels * pixel_bytes) + fixed + _STRIP_BYTES * strip + rows
