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


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(each)) + each + bytes(len(each) % 2) for kind, each in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_image(side: int) -> tuple[bytes, bytes]:
    """The chunk of a flat lossless image."""
    data = encoded(Image.new("RGB", (side, side)), "WEBP", lossless=True)
    return data[12:16], data[20 : 20 + int.from_bytes(data[16:20], "little")]


def extended(side: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", struct.pack("<I", flags) + (side - 1).to_bytes(3, "little") * 2


def tiff_twice(tag: int) -> bytes:
    """A sound file of 8 x 8, in which one tag occurs once more with 20,000."""
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64), (tag, 20_000)]
    entries = b"".join(struct.pack("<HHII", each, 4, 1, value) for each, value in sorted(tags))
    return b"II*\0" + struct.pack("<I", 72) + bytes(64) + struct.pack("<H", len(tags)) + entries + bytes(4)


IHDR = chunk(b"IHDR", struct.pack(">IIBBBBB", 7000, 7000, 8, 2, 0, 0, 0))
TWO_SIZES = {
    "WebP, a second size behind the image": (
        riff(webp_image(5000), extended(64)),
        "at most 5000 pixels, got 5000 x 5000",
    ),
    "WebP, a smaller size": (
        riff(extended(64), webp_image(5000)),
        "states 64 x 64 pixels, its image 5000 x 5000",
    ),
    "PNG, a second header": (png_with(IHDR), "expected one IHDR chunk, got several"),
    "PNG, a second header behind the image": (encoded(Image.fromarray(RGB), "PNG")[:-12] + IHDR, "one IHDR"),
    **{f"TIFF tag {tag}": (tiff_twice(tag), f"tag {tag} occurs twice") for tag in (256, 257, 258, 277, 278)},
}


@pytest.mark.parametrize("name", TWO_SIZES)
def test_a_file_of_two_sizes_is_refused_before_it_is_decoded(name: str) -> None:
    data, message = TWO_SIZES[name]
    with pytest.raises(BadImage, match=message):
        decode(data, max_pixels=5000)


def test_a_side_is_bounded() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 300_000, 8, 2, 0, 0, 0))
    sound = png_with(b"")
    with pytest.raises(ImageTooLarge, match="sides of at most 200000 pixels, got 1 x 300000"):
        decode(sound[:8] + header + sound[33:])


def test_metadata_behind_the_end_of_a_webp_turns_nothing() -> None:
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    within = riff(extended(64, flags=8), webp_image(64), (b"EXIF", exif))
    behind = riff(extended(64), webp_image(64)) + b"EXIF" + struct.pack("<I", len(exif)) + exif
    assert decode(within).exif_orientation == 6
    assert decode(behind).exif_orientation == 1


PNG_MODES = {"1": (1, 0), "L": (8, 0), "LA": (8, 4), "P": (8, 3), "RGB": (8, 2), "RGBA": (8, 6), "I;16": (16, 0)}


def png_of_rows(width: int, height: int, rows: int, mode: str, *, interlaced: bool, grey: int = 0) -> bytes:
    """A sound PNG, but for its number of rows (of all passes)."""
    bits, colour_type = PNG_MODES[mode]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    sides = (
        [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
        if interlaced
        else [(width, height)]
    )
    bands = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    lines = [b"\0" + bytes([grey]) * ((w * bits * bands + 7) // 8) for w, h in sides if w > 0 for _ in range(h)]
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    palette = chunk(b"PLTE", bytes(768)) if mode == "P" else b""
    content = zlib.compress(b"".join(lines[: len(lines) + rows]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("mode", PNG_MODES)
def test_a_png_whose_data_end_before_its_last_row_is_truncated(mode: str, interlaced: bool) -> None:
    for width, height in ((40, 30), (1, 2), (3, 31)):
        decode(png_of_rows(width, height, 0, mode, interlaced=interlaced))
        for missing in (-1, -2):
            with pytest.raises(BadImage, match="truncated"):
                decode(png_of_rows(width, height, missing, mode, interlaced=interlaced))


def test_a_tiny_row_that_equals_the_noise_is_no_damage() -> None:
    for grey in range(256):
        for _ in range(3):
            assert decode(png_of_rows(1, 1, 0, "L", interlaced=False, grey=grey)).rgb[0, 0, 0] == grey
