"""Photos as cameras, phones and old tools write them: read as browsers do, or refused with the right word."""

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from foveal.errors import BadImage, UnsupportedImage
from foveal.imaging.decode import decode, read_header
from tests.helpers.hostile_images import png_chunk, sample, written

RAMP = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 77
JPEG = sample("JPEG")
DQT = JPEG.index(b"\xff\xdb")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def pixels(data: bytes) -> np.ndarray:
    """By the oracle."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


SOUND_JPEGS: dict[str, Callable[[], bytes]] = {
    "foreign bytes between segments": lambda: JPEG[:DQT] + b"\0\x01other\0" + JPEG[DQT:],
    "zeros between segments": lambda: JPEG[:DQT] + bytes(900) + JPEG[DQT:],
    "fill bytes before a marker": lambda: JPEG[:DQT] + b"\xff\xff\xff" + JPEG[DQT:],
    "an APP segment that says too little": lambda: JPEG[:DQT] + b"\xff\xe5\0\x04" + bytes(40) + JPEG[DQT:],
    "a second image behind": lambda: JPEG + JPEG,
    "a trailer": lambda: JPEG + b"SEFT" + bytes(300),
    "no end marker, all rows": lambda: JPEG[: JPEG.rindex(b"\xff\xd9")],
    "a comment that is no text": lambda: JPEG[:2] + segment(0xFE, bytes(range(256))) + JPEG[2:],
    "XMP that states an orientation": lambda: (
        JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) + JPEG[2:]
    ),
}


@pytest.mark.parametrize("name", SOUND_JPEGS)
def test_a_sound_jpeg(name: str) -> None:
    assert np.array_equal(decode(SOUND_JPEGS[name]()).rgb, pixels(JPEG))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_jpeg_without_its_last_rows_is_damaged(share: float, progressive: bool) -> None:
    whole = sample("JPEG", (300, 200), progressive=progressive)
    with pytest.raises(BadImage, match="truncated"):
        decode(whole[: int(share * len(whole))])


def test_progressive_jpeg_without_end_is_damaged() -> None:
    """A scan may be missing, and nothing would tell."""
    whole = sample("JPEG", progressive=True)
    with pytest.raises(BadImage, match="end-of-image"):
        decode(whole[: whole.rindex(b"\xff\xd9")])


def as_sof(marker: int, bits: int = 8) -> bytes:
    data = bytearray(JPEG)
    at = JPEG.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (as_sof(0xC1, 12), "12"),
        (as_sof(0xC5), "hierarchical"),
        (as_sof(0xCB), "lossless"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "JPEG 2000"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x18ftypcrx " + bytes(50), "CR3"),
        (b"FUJIFILMCCD-RAW " + bytes(50), "RAF"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(50), "CR2"),
    ],
)
def test_what_no_codec_reads_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"{name}.*not supported|not supported.*{name}"):
        decode(data)


def tiff(image: Image.Image, tags: dict[int, int | bytes]) -> bytes:
    """Written by Pillow, with these tags."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
        info.tagtype[tag] = 3 if isinstance(value, int) else 1
    return written(image, "TIFF", tiffinfo=info)


def test_16_bit_white_is_zero_is_no_negative() -> None:
    data = tiff(Image.fromarray(RAMP), {262: 0})
    assert read_header(data).image_hw == (16, 16)
    stored = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(stored, RAMP), "Pillow gives the samples as stored: 0 is white"
    assert np.array_equal(decode(data).rgb[:, :, 0], (65535 - RAMP) >> 8)


def packed_12_bit() -> tuple[np.ndarray, bytes]:
    """Two samples in three bytes, as scanners write them, in a TIFF of one strip."""
    samples = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
    even, odd = samples.reshape(-1, 2).T
    strip = np.stack([even >> 4, (even & 15) << 4 | odd >> 8, odd & 255], axis=1).astype(np.uint8).tobytes()
    tags = {256: 16, 257: 16, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    return samples, head + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_packed_12_bit_uses_its_whole_range() -> None:
    samples, data = packed_12_bit()
    assert np.array_equal(decode(data).rgb[:, :, 1], samples >> 4)


def test_a_transparent_colour_of_a_16_bit_png_is_white() -> None:
    _, png = cv2.imencode(".png", RAMP)
    data = png.tobytes()
    transparent = png_chunk(b"tRNS", struct.pack(">H", int(RAMP[3, 5])))
    grey = decode(data[:33] + transparent + data[33:]).rgb[:, :, 0]
    expected = (RAMP >> 8).astype(np.uint8)
    expected[3, 5] = 255
    assert np.array_equal(grey, expected)


@pytest.mark.parametrize("kind", [b"tEXt", b"tIME", b"pHYs", b"eXIf", b"iTXt"])
def test_a_wrong_checksum_in_metadata_of_a_png_costs_nothing(kind: bytes) -> None:
    data = sample("PNG")
    chunk = bytearray(png_chunk(kind, bytes(9)))
    chunk[-1] ^= 0xFF
    assert np.array_equal(decode(data[:33] + bytes(chunk) + data[33:]).rgb, pixels(data))


def test_a_wrong_checksum_of_pixels_is_damage() -> None:
    data = bytearray(sample("PNG"))
    end = data.index(b"IEND")
    data[end - 6] ^= 0xFF  # the last byte of IDAT's checksum
    with pytest.raises(BadImage):
        decode(bytes(data))


def with_xmp(container: str) -> bytes:
    if container == "PNG":
        plain = sample("PNG")
        return plain[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP) + plain[33:]
    return tiff(Image.open(io.BytesIO(sample("PNG"))), {700: XMP}) if container == "TIFF" else sample("WEBP", xmp=XMP)


@pytest.mark.parametrize("container", ["PNG", "WEBP", "TIFF"])
def test_xmp_turns_nothing(container: str) -> None:
    """Browsers, OpenCV and annotation tools look at EXIF only; boxes were drawn on what they showed."""
    data = with_xmp(container)
    assert b"adobe:ns:meta" in data
    assert decode(data).exif_orientation == 1
    assert decode(data).rgb.shape == (36, 48, 3)


@pytest.mark.parametrize(
    ("tags", "word"), [({50706: b"\1\4\0\0"}, "raw"), ({339: 3}, "floating"), ({262: 32803}, "raw"), ({262: 9}, "9")]
)
def test_a_variant_of_tiff_is_named_and_a_dng_not_answered_for_its_thumbnail(
    tags: dict[int, int | bytes], word: str
) -> None:
    with pytest.raises(UnsupportedImage, match=word):
        decode(tiff(Image.new("L", (8, 8)), tags))


def test_zlib_stream_of_a_png_may_be_cut_into_any_chunks() -> None:
    data = sample("PNG")
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    stream = data[start + 8 : end - 4]
    assert zlib.decompress(stream)
    parts = b"".join(png_chunk(b"IDAT", stream[i : i + 1]) for i in range(len(stream)))
    assert np.array_equal(decode(data[:start] + parts + data[end:]).rgb, pixels(data))
