"""Images over real HTTP: EXIF orientation, unusual and damaged files."""

import io
import struct
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.helpers.packages import encoded
from tests.helpers.servers import best, problem

GREEN = (0, 255, 0)
CLASSIFY = "/v1/classify"


def image(container: str, **options: object) -> bytes:
    return encoded(Image.new("RGB", (40, 30), GREEN), container, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation(client: httpx.Client, container: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = client.post(CLASSIFY, content=image(container, exif=exif)).json()["results"][0]["image"]
    width, height = (40, 30) if orientation < 5 else (30, 40)
    assert (photo["width"], photo["height"], photo["exif_orientation"]) == (width, height, orientation)


def odd_images() -> dict[str, bytes]:
    green = Image.new("RGB", (40, 30), GREEN)
    deep = np.full((30, 40), 40_000, np.uint16)
    return {
        "cmyk": encoded(green.convert("CMYK"), "JPEG"),
        "palette": encoded(green.convert("P"), "PNG"),
        "alpha": encoded(green.convert("RGBA"), "PNG"),
        "16-bit": encoded(Image.fromarray(deep), "PNG"),
        "grey": encoded(Image.new("L", (40, 30), 90), "PNG"),
        "one bit": encoded(Image.new("1", (40, 30), 1), "PNG"),
        "1x1": encoded(green.resize((1, 1)), "PNG"),
        "10000x10": encoded(green.resize((10_000, 10)), "PNG"),
        "10x10000": encoded(green.resize((10, 10_000)), "JPEG"),
        "gif": image("GIF"),
        "bmp": image("BMP"),
        "webp": image("WEBP"),
        "avif": image("AVIF"),
        "progressive": image("JPEG", progressive=True),
    }


@pytest.mark.parametrize("name", odd_images())
def test_odd_images_are_answered_rightly(client: httpx.Client, name: str) -> None:
    data = odd_images()[name]
    response = client.post(CLASSIFY, content=data)
    with Image.open(io.BytesIO(data)) as opened:
        image = response.json()["results"][0]["image"]
        assert (image["width"], image["height"]) == opened.size
    if name in ("16-bit", "grey", "one bit"):  # no colour: all three classes alike
        assert {row["score"] for row in response.json()["results"][0]["classes"]} == {0.333333}
    else:
        assert best(response) == "green"


def giant_png() -> bytes:
    """A header that promises 25000 x 20000 pixels, with next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 25_000, 20_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"just a text named photo.jpg", 415),
        (b"%PDF-1.7", 415),
        (image("JPEG")[:-200], 422),
        (image("JPEG")[:20], 422),
        (image("PNG")[:60], 422),
        (giant_png(), 413),
    ],
    ids=["empty", "text", "pdf", "cut jpeg", "jpeg header", "cut png", "500 megapixels"],
)
def test_bad_images_get_their_status(client: httpx.Client, data: bytes, status: int) -> None:
    problem(client.post(CLASSIFY, content=data), status)
