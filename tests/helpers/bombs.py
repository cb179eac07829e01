"""Small requests that cost a lot (`bombs`), and clients that misbehave (`MISBEHAVE`)."""

import asyncio
import json
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from PIL import Image

from tests.helpers.hostile_images import png_chunk, written


def png(
    width: int, height: int, *, colour: int = 2, depth: int = 8, between: bytes = b"", interlaced: int = 0
) -> bytes:
    """A black PNG with chunks between header and data."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = 1 + (width * samples * depth + 7) // 8
    rows = zlib.compress(bytes(row * height * (2 if interlaced else 1)), 9)
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + between + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def progressive_jpeg(width: int, height: int, scans: int) -> bytes:
    """Grey, AC scans only, each one run of end-of-band codes."""
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    entropy = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([1, 0, 1, 63, 0]) + entropy
    tables = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes([1, 0x11, 0])
    huffman = b"\xff\xc4" + struct.pack(">H", 20) + bytes([0x10, 1] + [0] * 15 + [0xE0])
    return b"\xff\xd8" + tables + frame + huffman + scan * scans + b"\xff\xd9"


def rle_bmp(width: int, height: int, runs: bytes) -> bytes:
    """8-bit run lengths."""
    offset = 14 + 40 + 1024
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset) + info + bytes(1024) + runs


def bombs() -> dict[str, tuple[str, bytes]]:
    """Name -> content type and body; seconds to make, kept small enough for many at a time."""
    black = Image.new("RGB", (7999, 7999))
    transparent = png_chunk(b"tRNS", b"\0\0")
    image = "image/x"
    return {
        "JPEG of 1000 scans": (image, progressive_jpeg(8000, 8000, 1000)),
        "JPEG of 62 scans": (image, progressive_jpeg(8000, 8000, 62)),
        "JPEG padding": (image, b"\xff\xd8\xff" + bytes(20_000_000)),
        "RLE BMP": (image, rle_bmp(8000, 4000, b"\1\0" * 1_000_000)),
        "PNG of empty chunks": (image, png(8, 8, between=png_chunk(b"aaAa", b"") * 400_000)),
        "1-bit PNG with tRNS": (image, png(8000, 8000, colour=0, depth=1, between=transparent)),
        "RGBA PNG": (image, png(8000, 8000, colour=6)),
        "16-bit PNG": (image, png(7000, 7000, colour=2, depth=16)),
        "WebP of 64 megapixels": (image, written(black, "WEBP", quality=1)),
        "AVIF of 64 megapixels": (image, written(black, "AVIF", quality=1, speed=10)),
        "GIF of 64 megapixels": (image, written(black.convert("P"), "GIF")),
        "TIFF of 64 megapixels": (image, written(black, "TIFF", compression="tiff_lzw")),
        "JPEG of 64 megapixels": (image, written(black, "JPEG", quality=30)),
        "empty objects": ("application/json", b'{"images":[' + b",".join([b"{}"] * 700_000) + b"]}"),
        "unknown keys": ("application/json", json.dumps({f"k{i}": 0 for i in range(200_000)}).encode()),
        "deep JSON": ("application/json", b'{"images":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
        "many parts": (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n\r\n' * 100_000 + b"--x--\r\n",
        ),
    }


async def ask(port: int, path: str, content_type: str, body: bytes) -> str:
    """The status of one request on a connection of its own, or what went wrong."""
    try:
        async with asyncio.timeout(120):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
            writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body))
            for start in range(0, len(body), 1 << 18):
                writer.write(body[start : start + (1 << 18)])
                with suppress(ConnectionError):
                    await writer.drain()
            status = (await reader.readline()).split(b" ")
            await reader.read()
            writer.close()
            return status[1].decode() if len(status) > 1 else "closed"
    except (OSError, TimeoutError) as error:
        return type(error).__name__


async def silent(port: int) -> None:
    """A connection that says nothing for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.wait_for(reader.read(1), 20)
    writer.close()


async def half_a_head(port: int) -> None:
    """A head without an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
    await asyncio.wait_for(reader.read(1), 20)
    writer.close()


async def endless_head(port: int) -> None:
    """Header lines until the service has enough."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
    for _ in range(200):
        writer.write(b"".join(b"X-%d: vvvvvvvvvv\r\n" % i for i in range(1000)))
        await writer.drain()
    writer.close()


async def held_body(port: int) -> None:
    """An upload that stops before its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/x\r\nContent-Length: 60000000\r\n\r\n")
    writer.write(bytes(4_000_000))
    await asyncio.wait_for(reader.read(1), 90)
    writer.close()


async def unread(port: int) -> None:
    """A client that asks for a large image and does not read it."""
    pixels = np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), np.uint8)
    body = written(Image.fromarray(pixels), "JPEG", quality=60)
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    writer.write(body)
    await writer.drain()
    await asyncio.sleep(15)
    writer.transport.abort()


MISBEHAVE: dict[str, Callable[[int], object]] = {
    "silent": silent,
    "half a head": half_a_head,
    "endless head": endless_head,
    "held body": held_body,
    "unread answer": unread,
}
