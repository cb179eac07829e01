"""The worst files for the decoder, over formats: CPU seconds and peak memory of each, against `decode_bytes_bound`.

Each file is at most 64 MB and 64 megapixels, the service's limits, and made to be slow: noise at full quality, all
passes that a header may state, chunks and strips without end, what unpacks to a thousand times its size.

    PYTHONPATH=. python benchmarks/decode_cost.py [--only TEXT] [--file PATH …]
"""

import argparse
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from foveal.imaging.decode import MAX_BYTES
from foveal.imaging.memory import decode_bytes_bound
from tests.helpers.bombs import bombs, png, progressive_jpeg, rle_bmp
from tests.helpers.costs import decode_cost
from tests.helpers.hostile_images import png_chunk, written
from tests.helpers.icc import PROFILES

Image.MAX_IMAGE_PIXELS = None


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values[:, :, 0] if channels == 1 else values, "CMYK" if channels == 4 else None)


def png_rows(width: int, height: int, colour: int, depth: int, filter_: int, *, random: bool) -> bytes:
    """A PNG whose rows all use one filter."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = width * samples * depth // 8
    rows = np.zeros((height, row + 1), np.uint8)
    if random:
        rows[:, 1:] = np.random.default_rng(0).integers(0, 256, (height, row), np.uint8)
    rows[:, 0] = filter_
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(rows.tobytes(), 1))
    return b"\x89PNG\r\n\x1a\n" + head + data + png_chunk(b"IEND", b"")


def opencv_jpeg(image: Image.Image, *options: int) -> bytes:
    options = cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111, *options
    return bytes(cv2.imencode(".jpg", np.asarray(image), options)[1])


def text_bombs(count: int, megabytes: int) -> bytes:
    packed = zlib.compress(bytes(megabytes * 1_000_000), 9)
    return png(8, 8, between=png_chunk(b"zTXt", b"k\0\0" + packed) * count)


def strips(image: Image.Image, rows: int, **options: object) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[278] = rows
    return written(image, "TIFF", tiffinfo=info, **options)


def interlaced_gif(image: Image.Image) -> bytes:
    return written(image, "GIF", interlace=1)


def large() -> dict[str, Callable[[], bytes]]:
    """Name -> maker of a file, of the formats that this machine can write."""
    grey64 = 8000, 8000, 1
    return {
        "JPEG, noise, quality 100": lambda: opencv_jpeg(noise(3900, 3900)),
        "JPEG, progressive noise": lambda: opencv_jpeg(noise(3900, 3900), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "JPEG, 62 scans of 64 megapixels": lambda: progressive_jpeg(8000, 8000, 62),
        "JPEG, a restart at each block": lambda: opencv_jpeg(noise(3800, 3800), cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        "JPEG, CMYK": lambda: written(noise(3700, 3700, 4), "JPEG", quality=95),
        "JPEG, 64 megapixels, Display P3": lambda: written(
            noise(2000, 2000).resize((8000, 8000)), "JPEG", quality=60, icc_profile=PROFILES["Display P3"]
        ),
        "PNG, noise, Paeth": lambda: png_rows(4600, 4600, 2, 8, 4, random=True),
        "PNG, RGBA of 16 bits, zeros, Paeth": lambda: png_rows(8000, 8000, 6, 16, 4, random=False),
        "PNG, RGBA of 16 bits, noise": lambda: png_rows(2800, 2800, 6, 16, 4, random=True),
        "PNG, interlaced": lambda: png(8000, 8000, colour=6, interlaced=1),
        "PNG, 7000 texts that unpack to 8 MB": lambda: text_bombs(7000, 8),
        "PNG, 60 texts that unpack to 900 MB": lambda: text_bombs(60, 900),
        "WebP, noise": lambda: written(noise(3000, 3000), "WEBP", quality=90),
        "WebP, lossless noise": lambda: written(noise(4500, 4500), "WEBP", lossless=True, method=0, quality=0),
        "TIFF, LZW noise": lambda: written(noise(3700, 3700), "TIFF", compression="tiff_lzw"),
        "TIFF, LZW, 64 megapixels of zeros": lambda: written(
            Image.new("RGB", (8000, 8000)), "TIFF", compression="tiff_lzw"
        ),
        "TIFF, LZMA noise": lambda: written(noise(4500, 4500), "TIFF", compression="lzma"),
        "TIFF, Zstandard noise": lambda: written(noise(4500, 4500), "TIFF", compression="zstd"),
        "TIFF, deflate, a strip a row": lambda: strips(noise(8000, 2500), 1, compression="tiff_deflate"),
        "TIFF, group 4 noise": lambda: written(noise(*grey64).convert("1"), "TIFF", compression="group4"),
        "TIFF, PackBits": lambda: written(noise(4500, 4500), "TIFF", compression="packbits"),
        "TIFF, JPEG strips": lambda: written(noise(4300, 4300), "TIFF", compression="jpeg", quality=95),
        "TIFF, CMYK": lambda: written(noise(4000, 3900, 4), "TIFF"),
        "GIF, noise": lambda: interlaced_gif(noise(6500, 6500, 1)),
        "BMP, runs of one pixel": lambda: rle_bmp(8000, 3900, b"\1\7" * 31_000_000),
        "BMP, empty runs": lambda: rle_bmp(8000, 8000, b"\0\2\0\0" * 15_900_000),
        "AVIF, noise": lambda: written(noise(3000, 3000), "AVIF", quality=95, speed=10),
    }


def row(name: str, data: bytes) -> tuple[float, float]:
    if len(data) > MAX_BYTES:
        print(f"{name}: {len(data) / 1e6:.0f} MB is more than the service takes", file=sys.stderr)
        return 0.0, 0.0
    bound, cost = decode_bytes_bound(data), decode_cost(data)
    over = "  MORE THAN THE BOUND" if cost.peak_bytes > bound else ""
    print(
        f"{name[:40]:40} {len(data) / 1e6:6.1f} MB {cost.cpu_s:7.2f} s {cost.peak_bytes / 1e6:6.0f} of "
        f"{bound / 1e6:5.0f} MB  {cost.outcome[:70]}{over}",
        flush=True,
    )
    return cost.cpu_s, cost.peak_bytes / bound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    files: dict[str, Callable[[], bytes]] = {path.name: path.read_bytes for path in arguments.file}
    if not files:
        small = {name: data for name, (kind, data) in bombs().items() if kind == "image/x"}
        files = large() | {name: io.BytesIO(data).getvalue for name, data in small.items()}
    rows = {name: row(name, make()) for name, make in files.items() if arguments.only in name}
    slowest = max(rows, key=lambda name: rows[name][0])
    print(f"slowest: {slowest}, {rows[slowest][0]:.1f} CPU seconds")
    return int(any(share > 1 for _, share in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
