"""No small file costs much: what refuses it reads the header alone, and the rest stays below its bound of memory."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from foveal.errors import BadImage
from foveal.imaging.decode import decode
from foveal.imaging.memory import decode_bytes_bound
from tests.helpers import heif
from tests.helpers.bombs import bombs, png, progressive_jpeg, rle_bmp
from tests.helpers.costs import decode_cost
from tests.helpers.hostile_images import png_chunk, written
from tests.helpers.icc import PROFILES

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8))
TURNED = Image.Exif()
TURNED[0x0112] = 6
LARGE: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: written(NOISE, "JPEG", quality=90),
    "JPEG, turned": lambda: written(NOISE, "JPEG", quality=90, exif=TURNED),
    "JPEG, progressive": lambda: written(NOISE, "JPEG", progressive=True),
    "JPEG, CMYK": lambda: written(NOISE.convert("CMYK"), "JPEG"),
    "JPEG, with a profile": lambda: written(NOISE, "JPEG", icc_profile=PROFILES["ProPhoto"]),
    "JPEG of 62 scans": lambda: progressive_jpeg(8000, 8000, 62),
    "PNG": lambda: written(NOISE, "PNG", compress_level=1),
    "PNG, transparent": lambda: written(NOISE.convert("RGBA"), "PNG", compress_level=1),
    "PNG of one bit, a transparent colour": lambda: png(
        8000, 8000, colour=0, depth=1, between=png_chunk(b"tRNS", bytes(2))
    ),
    "PNG of 16 bits": lambda: png(3000, 3000, colour=2, depth=16),
    "PNG, interlaced": lambda: png(2000, 2000, colour=6, interlaced=1),
    "WebP": lambda: written(NOISE, "WEBP", method=0),
    "WebP, lossless": lambda: written(NOISE.convert("RGBA"), "WEBP", lossless=True, method=0, quality=0),
    "TIFF, LZW": lambda: written(NOISE, "TIFF", compression="tiff_lzw"),
    "TIFF, one bit": lambda: written(NOISE.convert("1"), "TIFF", compression="group4"),
    "TIFF, turned": lambda: written(NOISE, "TIFF", exif=TURNED),
    "GIF": lambda: written(NOISE.convert("P"), "GIF"),
    "BMP": lambda: written(NOISE, "BMP"),
    "BMP of runs": lambda: rle_bmp(2000, 2000, b"\xff\1" * 16000),
    "AVIF": lambda: written(NOISE, "AVIF", speed=10, quality=40),
}


@pytest.mark.parametrize("name", LARGE)
def test_memory_stays_below_the_bound(name: str) -> None:
    data = LARGE[name]()
    cost, bound = decode_cost(data), decode_bytes_bound(data)
    assert cost.peak_bytes <= bound, cost
    assert bound <= 4 * cost.peak_bytes + 20_000_000, "a bound that is far too high shuts good images out"


def tiff_of_tags(count: int, tag_bytes: int) -> bytes:
    """8 x 8 pixels, and private tags that all hold the same bytes."""
    tags = [(256, 4, 8), (257, 4, 8), (258, 4, 8), (259, 4, 1), (262, 4, 1), (273, 4, 8), (277, 4, 1), (278, 4, 8)]
    entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in [*tags, (279, 4, 64)]]
    entries += [struct.pack("<HHII", 40_000 + i, 7, tag_bytes, 8) for i in range(count)]
    head = b"II*\0" + struct.pack("<I", 8 + tag_bytes) + bytes(tag_bytes)
    return head + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


SMALL = Image.new("RGB", (64, 64))
BESIDE = bytes(20_000_000)
EXIF = bytes(4) + b"II*\0" + BESIDE
METADATA: dict[str, Callable[[], bytes]] = {
    "WebP": lambda: written(SMALL, "WEBP", icc_profile=BESIDE, exif=b"Exif\0\0" + BESIDE),
    "WebP, animated": lambda: written(
        SMALL, "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 64), "red")], icc_profile=BESIDE, xmp=BESIDE
    ),
    "JPEG, CMYK": lambda: with_segments(written(SMALL.convert("CMYK"), "JPEG"), 300),
    "JPEG without an end": lambda: with_segments(written(SMALL, "JPEG"), 300)[:-2],
    "TIFF": lambda: written(SMALL, "TIFF", icc_profile=BESIDE),
    "TIFF of tags": lambda: tiff_of_tags(1, len(BESIDE)),
    "PNG": lambda: written(SMALL, "PNG", icc_profile=BESIDE[:3_900_000]),
    "AVIF": lambda: heif.file_of(b"avif", [heif.av1(64, 64), heif.Item(b"Exif", EXIF, (), {b"cdsc": [1]})]),
    "HEIC": lambda: heif.file_of(b"heic", [heif.hevc(), heif.Item(b"Exif", EXIF, (), {b"cdsc": [1]})]),
}


def with_segments(jpeg: bytes, count: int) -> bytes:
    return jpeg[:2] + (b"\xff\xec" + struct.pack(">H", 65_002) + bytes(65_000)) * count + jpeg[2:]


@pytest.mark.parametrize("name", METADATA)
def test_metadata_counts_for_the_bound(name: str) -> None:
    data = METADATA[name]()
    cost = decode_cost(data)
    assert cost.outcome in ("64 x 64", "96 x 64", "8 x 8")
    assert cost.peak_bytes <= decode_bytes_bound(data), cost


def test_tags_that_share_their_bytes_are_not_copied_one_by_one() -> None:
    with pytest.raises(BadImage, match="bytes of TIFF tags together: twice the file"):
        decode(tiff_of_tags(400, 1_000_000))


BOMBS = {name: data for name, (kind, data) in bombs().items() if kind == "image/x"}
REFUSED: dict[str, Callable[[], bytes]] = {
    "JPEG of 20,000 scans": lambda: progressive_jpeg(8000, 8000, 20_000),
    "JPEG of padding": lambda: b"\xff\xd8\xff" + bytes(60_000_000),
    "JPEG of fill bytes": lambda: b"\xff\xd8" + b"\xff" * 60_000_000,
    "JPEG of empty segments": lambda: b"\xff\xd8" + b"\xff\xe5\0\2" * 15_000_000,
    "PNG of empty chunks": lambda: png(8, 8, between=png_chunk(b"aaAa", b"") * 5_000_000),
    "GIF of empty extensions": lambda: b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 20_000_000,
    "GIF of small blocks": lambda: b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1x" * 30_000_000,
    "WebP of empty chunks": lambda: b"RIFF\xf8\xff\xff\1WEBPVP8X\x0a\0\0\0" + bytes(10) + b"XXXX\0\0\0\0" * 7_000_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_parser_could_walk_over_for_ever_is_refused_at_once(name: str) -> None:
    data = REFUSED[name]()
    cost = decode_cost(data)
    assert "BadImage" in cost.outcome
    assert cost.cpu_s < 1, cost
    assert cost.peak_bytes <= decode_bytes_bound(data), cost


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    """Refused, or decoded for what 64 megapixels cost in any file; the margin is for a busy machine."""
    cost = decode_cost(BOMBS[name])
    assert cost.cpu_s < 10, cost
    assert cost.peak_bytes <= decode_bytes_bound(BOMBS[name]), cost


def test_texts_of_a_png_are_not_unpacked() -> None:
    text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 9))
    cost = decode_cost(png(8, 8, between=text * 500))
    assert cost.outcome == "8 x 8"
    assert cost.cpu_s < 1, cost
    assert cost.peak_bytes < 60_000_000, cost


@pytest.mark.parametrize("side", [20_480, 60_000])
def test_a_tile_larger_than_allowed_is_refused(side: int) -> None:
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: 64}
    entries = b"".join(np.array([tag], "<u2").tobytes() + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
                       for tag, value in tags.items())  # fmt: skip
    data = b"II*\0" + (72).to_bytes(4, "little") + bytes(64) + len(tags).to_bytes(2, "little") + entries + bytes(4)
    with pytest.raises(BadImage, match="tiles of at most"):
        decode(data)
