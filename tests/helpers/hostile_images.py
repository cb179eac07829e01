"""Corpus of damaged, inconsistent, unsupported and unusual images, each with its allowed statuses."""

import base64
import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from PIL import Image

CONTAINERS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
BAD_IMAGE = frozenset({413, 415, 422})
ANY_IMAGE = BAD_IMAGE | {200}  # damage may lie where no decoder looks


@cache
def sample(container: str, size: tuple[int, int] = (48, 36), **options: object) -> bytes:
    """A synthetic image with some detail."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rgb = np.stack([x * 5 % 256, y * 7 % 256, (x + y) * 3 % 256], axis=2).astype(np.uint8)
    return written(Image.fromarray(rgb), container, **options)


def written(image: Image.Image, container: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, container, **options)
    return file.getvalue()


def images() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Name, bytes and allowed statuses of each image."""
    yield from _cut()
    yield from _flipped()
    yield from _inconsistent()
    yield from _no_images()
    yield from _metadata()
    yield from _shapes()


def _cut() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Truncated at the start, at every structural point, and shortly before the end."""
    for container in CONTAINERS:
        data = sample(container)
        fixed = {0, 1, 2, 3, 4, 8, 12, 16, 32, len(data) // 2, len(data) * 9 // 10, len(data) - 1}
        for at in sorted(fixed | set(_structure(container, data))):
            yield f"{container} cut at {at}", data[:at], ANY_IMAGE if at > 30 else BAD_IMAGE


def _structure(container: str, data: bytes) -> list[int]:
    at, points = (2, []) if container == "JPEG" else (8, [])
    if container == "JPEG":
        while data[at] == 0xFF and data[at + 1] != 0xDA:
            points.append(at)
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        points.append(at)
    elif container == "PNG":
        while at < len(data):
            points.append(at)
            at += 12 + int.from_bytes(data[at : at + 4], "big")
    return points


def _flipped() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    for container in CONTAINERS:
        for seed in range(6):
            data, dice = bytearray(sample(container)), random.Random(f"{container} {seed}")
            for _ in range(1 + 4 * seed):
                data[dice.randrange(len(data))] = dice.randrange(256)
            yield f"{container} with noise {seed}", bytes(data), ANY_IMAGE


def _inconsistent() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Headers that state sizes which the data does not have."""
    sizes = [(0, 0), (0, 9), (1, 2**31 - 1), (25_000, 20_000), (65_535, 65_535), (4000, 4000)]
    for w, h in sizes:
        yield f"PNG says {w}x{h}", png_of(w, h), BAD_IMAGE
        jpeg = bytearray(sample("JPEG"))
        at = jpeg.index(b"\xff\xc0")
        jpeg[at + 5 : at + 9] = struct.pack(">HH", h & 0xFFFF, w & 0xFFFF)
        yield f"JPEG says {w}x{h}", bytes(jpeg), ANY_IMAGE
        gif = bytearray(sample("GIF"))
        gif[6:10] = struct.pack("<HH", w & 0xFFFF, h & 0xFFFF)
        yield f"GIF says {w}x{h}", bytes(gif), ANY_IMAGE
        bmp = bytearray(sample("BMP"))
        bmp[18:26] = struct.pack("<ii", w, h)
        yield f"BMP says {w}x{h}", bytes(bmp), ANY_IMAGE
    bmp = bytearray(sample("BMP"))
    bmp[18:26] = struct.pack("<ii", -48, 36)
    yield "BMP of negative width", bytes(bmp), BAD_IMAGE
    yield "PNG bomb of 8001x8000", written(Image.new("1", (8001, 8000)), "PNG"), frozenset({413})
    yield (
        "GIF bomb of 60000x60000",
        sample("GIF")[:6] + struct.pack("<HH", 60_000, 60_000) + sample("GIF")[10:],
        BAD_IMAGE,
    )


def png_of(width: int, height: int, data: bytes = b"\0" * 100, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG whose header may state any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _no_images() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Other files, polyglots, and unsupported formats."""
    jpeg = sample("JPEG")
    no = frozenset({415})
    table = {
        "text": (b"hello", no),
        "zeros": (b"\0" * 5000, no),
        "html": (b"<!doctype html><script>alert(1)</script>", no),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', no),
        "svg with entities": (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>', no),
        "pdf": (b"%PDF-1.7\n", no),
        "zip": (b"PK\x03\x04" + b"\0" * 100, no),
        "gzip of a jpeg": (zlib.compress(jpeg, wbits=31), no),
        "elf": (b"\x7fELF" + b"\0" * 100, no),
        "mp4": (b"\0\0\0\x18ftypisom" + b"\0" * 100, no),
        "heic": (b"\0\0\0\x18ftypheic" + b"\0" * 100, frozenset({415, 422})),
        "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 50, no),
        "jpeg xl": (b"\xff\x0a" + b"\0" * 50, no),
        "psd": (b"8BPS\0\1" + b"\0" * 50, no),
        "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", no),
        "ico": (written(Image.new("RGB", (16, 16)), "ICO"), no),
        "ppm": (b"P6 9 9 255\n" + b"\0" * 243, no),
        "pickle": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os.", no),
        "jpeg behind a space": (b" " + jpeg, no),
        "jpeg behind a byte order mark": (b"\xef\xbb\xbf" + jpeg, no),
        "jpeg in base64": (base64.b64encode(jpeg), no),
        "jpeg as a data url": (b"data:image/jpeg;base64," + base64.b64encode(jpeg), no),
        "jpeg and zip": (jpeg + b"PK\x03\x04", frozenset({200})),
        "jpeg twice": (jpeg + jpeg, frozenset({200})),
        "gif and script": (b"GIF89a/*" + b"*/=1;alert(1)", BAD_IMAGE),
        "png and a megabyte": (sample("PNG") + b"\0" * 1_000_000, frozenset({200})),
        "jpeg signature only": (b"\xff\xd8\xff", frozenset({422})),
        "png signature only": (b"\x89PNG\r\n\x1a\n", frozenset({422})),
        "tiff that points at itself": (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", BAD_IMAGE),
        "tiff that points outside": (b"II*\0\xff\xff\xff\xff", BAD_IMAGE),
        "tiff of 65535 tags": (b"II*\0\x08\0\0\0\xff\xff" + b"\1" * 4000, BAD_IMAGE),
        "riff of another kind": (b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 20, no),
    }
    yield from ((name, data, expect) for name, (data, expect) in table.items())


def _metadata() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Invalid metadata never fails the image, unless it is a decompression bomb."""
    good = frozenset({200})
    for value in (0, 9, 255, 65_535):
        exif = Image.Exif()
        exif[0x0112] = value
        yield f"orientation {value}", sample("JPEG", exif=exif.tobytes()), good
    for name, block in {
        "of nothing": b"Exif\0\0",
        "of noise": b"Exif\0\0" + bytes(range(256)) * 20,
        "that points at itself": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0",
        "of 60 kB": b"Exif\0\0II*\0" + b"\xff" * 60_000,
    }.items():
        yield f"exif {name}", sample("JPEG", exif=block), good
    yield "jpeg with a 60 kB comment", sample("JPEG", comment=b"c" * 60_000), good
    yield "icc profile of noise", sample("JPEG", icc_profile=b"x" * 1000), good
    yield "png icc profile of noise", sample("PNG", icc_profile=b"x" * 1000), good
    pixels = b"\0" * (9 * (1 + 9 * 3))
    text = b"k\0\0" + zlib.compress(b"\0" * 20_000_000)
    yield "png text bomb of 20 MB", png_of(9, 9, pixels, (b"zTXt", text)), ANY_IMAGE
    yield "png of 5000 text chunks", png_of(9, 9, pixels, *[(b"tEXt", b"k\0v")] * 5000), ANY_IMAGE
    yield "png of an unknown critical chunk", png_of(9, 9, pixels, (b"ABCD", b"x")), ANY_IMAGE
    yield "png with more pixels than it says", png_of(9, 9, b"\0" * 10_000_000), ANY_IMAGE
    yield "png with fewer pixels than it says", png_of(900, 900, b"\0" * 10), BAD_IMAGE
    yield "png with a wrong checksum", sample("PNG")[:-8] + b"\0\0\0\0" + sample("PNG")[-4:], ANY_IMAGE


def _shapes() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Unusual but valid: each of these has a result."""
    good = frozenset({200})
    yield from ((f"{w}x{h}", sample("PNG", (w, h)), good) for w, h in [(1, 1), (1, 9000), (9000, 1), (2, 3), (7, 7)])
    deep = Image.fromarray(np.full((9, 9), 40_000, np.uint16))
    modes = {mode: Image.new("RGB", (9, 9), (9, 200, 9)).convert(mode) for mode in ("1", "L", "LA", "P", "RGBA")}
    yield from ((f"png of mode {mode}", written(image, "PNG"), good) for mode, image in modes.items())
    yield "16-bit png", written(deep, "PNG"), good
    yield "16-bit tiff", written(deep, "TIFF"), good
    yield "float tiff", written(Image.new("F", (9, 9), 0.5), "TIFF"), frozenset({415})
    yield "cmyk jpeg", written(Image.new("CMYK", (9, 9)), "JPEG"), good
    yield "cmyk tiff", written(Image.new("CMYK", (9, 9)), "TIFF"), good
    yield "progressive jpeg", sample("JPEG", progressive=True), good
    yield "jpeg of quality 1", sample("JPEG", quality=1), good
    frames = [Image.new("P", (9, 9), i) for i in range(50)]
    for container in ("GIF", "PNG", "WEBP", "TIFF"):
        moving = [frame.convert("RGB") for frame in frames] if container == "WEBP" else frames
        yield f"{container} of 50 frames", written(moving[0], container, save_all=True, append_images=moving[1:]), good
