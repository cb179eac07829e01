"""Container bounds: small files that ask for much work are refused from a look at their bytes; sound ones are read."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from foveal.errors import BadImage, ImageTooLarge
from foveal.imaging.codecs import jpeg, png
from foveal.imaging.decode import decode
from tests.helpers.packages import encoded

RGB = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(between: bytes) -> bytes:
    sound = encoded(Image.fromarray(RGB), "PNG")
    return sound[:33] + between + sound[33:]  # behind IHDR


def jpeg_with(between: bytes) -> bytes:
    sound = encoded(Image.fromarray(RGB), "JPEG", quality=95)
    return sound[:2] + between + sound[2:]


def progressive(width: int, height: int, scans: int) -> bytes:
    """Grey, each scan one run of end-of-band codes: about 100 bytes a scan at 64 megapixels."""
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    entropy = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([1, 0, 1, 63, 0]) + entropy
    tables = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    head = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes([1, 0x11, 0])
    huffman = b"\xff\xc4" + struct.pack(">H", 20) + bytes([0x10, 1] + [0] * 15 + [0xE0])
    return b"\xff\xd8" + tables + head + huffman + scan * scans + b"\xff\xd9"


def tiff_with_tile(side: int) -> bytes:
    """One tile of `side` x `side` for an image of 8 x 8."""
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (277, 1), (322, side), (323, side), (324, 8), (325, 64)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 72) + bytes(64) + struct.pack("<H", len(tags)) + entries + bytes(4)


EXIF_SEGMENT = b"\xff\xe1" + struct.pack(">H", 8) + b"Exif\0\0"
REFUSED = {
    "scans": (progressive(8000, 8000, 100), "at most 62 scans in a JPEG file of 64000000 pixels, got 100"),
    "zeros": (b"\xff\xd8\xff" + bytes(200_000), "expected a frame header"),
    "0xFF padding": (jpeg_with(b"\xff" * 200_000), "bytes between JPEG segments"),
    "empty segments": (jpeg_with(b"\xff\xee\0\2" * 5_000), "JPEG segments"),
    "Exif segments": (jpeg_with(EXIF_SEGMENT * 100), "Exif segments"),
    "empty chunks": (png_with(chunk(b"aaAa", b"") * 70_000), "PNG chunks"),
    "GIF comments": (b"GIF89a" + bytes(7) + b"!\xfe\1a\0" * 20_000, "GIF blocks"),
    "GIF sub-blocks": (b"GIF89a" + bytes(7) + b"!\xfe" + b"\1a" * 20_000, "GIF blocks"),
    "GIF junk": (b"GIF89a" + bytes(7) + b"x" * 20_000, "GIF blocks"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unbounded_work_is_refused(name: str) -> None:
    data, message = REFUSED[name]
    with pytest.raises(BadImage, match=message):
        decode(data)


def test_a_tile_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="tiles of at most 64000000 pixels, got 419430400"):
        decode(tiff_with_tile(20_480))


def test_values_of_tiff_tags_are_bounded() -> None:
    strips = struct.pack("<HHII", 273, 4, 10_000_000, 8)
    with pytest.raises(BadImage, match="values of TIFF tags"):
        decode(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + strips + bytes(4))


SOUND = {
    "progressive": encoded(Image.fromarray(RGB), "JPEG", progressive=True, quality=95),
    "metadata": jpeg_with(b"\xff\xe5" + struct.pack(">H", 60_002) + bytes(60_000)),
    "chunks": png_with(chunk(b"teXt", b"key\0value") * 1_000),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_files_are_read(name: str) -> None:
    with Image.open(io.BytesIO(SOUND[name])) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode(SOUND[name]).rgb, expected)


def test_many_scans_of_a_small_image_are_read() -> None:
    assert decode(progressive(64, 64, 200)).rgb.shape == (64, 64, 3)


def test_run_length_bmp_is_pillows_image() -> None:
    """Decoded by OpenCV: Pillow's decoder of runs is a loop in Python."""
    palette = b"".join(bytes([i, 255 - i, i // 2, 0]) for i in range(256))
    rows = [[(4, 7), (9, 200)], [(13, 99)], [(1, 0), (12, 255)]]  # bottom up: (length, index)
    runs = b"".join(b"".join(bytes(run) for run in row) + b"\0\0" for row in rows) + b"\0\1"
    info = struct.pack("<IiiHHIIiiII", 40, 13, 3, 1, 8, 1, len(runs), 0, 0, 256, 0)
    data = b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + info + palette + runs
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode(data).rgb, expected)


def test_the_walk_takes_few_steps_whatever_the_file_says() -> None:
    """Every bound is reached long before 64 MB of the smallest unit would be."""
    assert png.MAX_CHUNKS * 12 < 1_000_000
    assert jpeg.MAX_SEGMENTS * 4 < 1_000_000
