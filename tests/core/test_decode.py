"""The decoder against Pillow (and arithmetic) as oracles, for every container, mode and orientation."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from foveal.errors import BadImage, ImageTooLarge, UnsupportedImage
from foveal.imaging.decode import Decoded, decode, read_header
from tests.helpers.images import STORED

CONTAINERS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF"]
WITH_EXIF = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]
LOSSLESS = {"PNG", "TIFF", "BMP"}


# How a camera held that way stores an upright image: the inverse of what the viewer must do.
def image(height: int = 60, width: int = 90, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height))


def encode(rgb: np.ndarray | Image.Image, container: str, **options: object) -> bytes:
    out = io.BytesIO()
    (rgb if isinstance(rgb, Image.Image) else Image.fromarray(rgb)).save(out, container, **options)
    return out.getvalue()


def with_orientation(rgb: np.ndarray, container: str, orientation: int) -> bytes:
    stored = Image.fromarray(rgb)
    if (transpose := STORED[orientation]) is not None:
        stored = stored.transpose(transpose)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(stored, container, exif=exif)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_image(container: str) -> None:
    rgb = image()
    decoded = decode(encode(rgb, container))
    assert decoded.rgb.dtype == np.uint8
    assert decoded.image_hw == (60, 90)
    if container in LOSSLESS:
        assert np.array_equal(decoded.rgb, rgb)
    else:
        assert np.abs(decoded.rgb.astype(int) - rgb).mean() < 12  # lossy, or a palette


@pytest.mark.parametrize("quality", [60, 95])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_through_opencv_equals_pillow_bit_for_bit(quality: int, subsampling: int) -> None:
    data = encode(image(123, 211), "JPEG", quality=quality, subsampling=subsampling)
    assert np.array_equal(decode(data).rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("container", WITH_EXIF)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_exactly_once(container: str, orientation: int) -> None:
    rgb = image()
    data = with_orientation(rgb, container, orientation)
    decoded, header = decode(data), read_header(data)
    assert decoded.rgb.shape == rgb.shape
    assert decoded.image_hw == header.image_hw == (60, 90)
    assert decoded.exif_orientation == header.exif_orientation == orientation
    assert header.format == container
    assert np.abs(decoded.rgb.astype(int) - rgb).mean() < (0.1 if container in LOSSLESS else 8)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_nonsense_orientation_counts_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encode(image(), "JPEG", exif=exif)).exif_orientation == 1


def test_alpha_is_laid_over_white() -> None:
    rgba = np.dstack([image(), np.full((60, 90), 255, np.uint8)])
    rgba[:20, :, 3] = 0
    rgba[20:40, :, 3] = 51  # one fifth
    got = decode(encode(rgba, "PNG")).rgb.astype(float)
    assert (got[:20] == 255).all()
    assert np.abs(got[20:40] - (0.2 * rgba[20:40, :, :3] + 0.8 * 255)).max() <= 0.5
    assert np.array_equal(got[40:], rgba[40:, :, :3])


def test_transparent_palette_entry_becomes_white() -> None:
    indexed = Image.new("P", (8, 8), 0)
    indexed.putpalette([255, 0, 0, 0, 255, 0])
    indexed.putpixel((3, 2), 1)
    got = decode(encode(indexed, "PNG", transparency=0)).rgb
    assert tuple(got[0, 0]) == (255, 255, 255)
    assert tuple(got[2, 3]) == (0, 255, 0)


@pytest.mark.parametrize("container", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_the_high_byte(container: str) -> None:
    grey = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 77
    got = decode(encode(Image.fromarray(grey), container)).rgb
    assert np.array_equal(got[:, :, 1], grey >> 8)


def test_16_bit_rgb_png_keeps_the_high_byte() -> None:
    deep = np.random.default_rng(0).integers(0, 65535, (9, 7, 3), dtype=np.uint16)
    ok, data = cv2.imencode(".png", deep[:, :, ::-1])
    assert ok
    assert np.array_equal(decode(data.tobytes()).rgb, deep >> 8)


MODES = {"JPEG": ["L", "CMYK"], "PNG": ["L", "1", "P", "LA"], "TIFF": ["L", "1", "CMYK", "P", "LA"]}


@pytest.mark.parametrize(("container", "mode"), [(c, m) for c, modes in MODES.items() for m in modes])
def test_modes_follow_pillow(container: str, mode: str) -> None:
    data = encode(Image.fromarray(image()).convert(mode), container)
    assert np.array_equal(decode(data).rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (12, 9), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert tuple(decode(out.getvalue()).rgb[4, 4]) == (255, 0, 0)


@pytest.mark.parametrize("hw", [(1, 1), (1, 5), (10, 10000), (333, 517)])
@pytest.mark.parametrize("container", ["JPEG", "PNG"])
def test_odd_sizes(container: str, hw: tuple[int, int]) -> None:
    assert decode(encode(np.full((*hw, 3), 90, np.uint8), container)).rgb.shape == (*hw, 3)


@pytest.mark.parametrize("container", CONTAINERS)
def test_truncated_at_any_fifth_is_a_bad_image(container: str) -> None:
    data = encode(np.random.default_rng(1).integers(0, 255, (60, 90, 3), dtype=np.uint8), container)
    for fifth in range(1, 5):
        with pytest.raises(BadImage):
            decode(data[: len(data) * fifth // 5])


def test_truncated_jpeg_with_a_complete_thumbnail_is_still_truncated() -> None:
    thumbnail = encode(image(8, 8), "JPEG")
    body = encode(image(), "JPEG")
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = body[:2] + app1 + body[2:]
    assert decode(whole).image_hw == (60, 90)
    with pytest.raises(BadImage, match="truncated"):
        decode(whole[:-40])


@pytest.mark.parametrize("data", [b"hello, I am text", b"\0" * 100, b"%PDF-1.7", b"<svg/>", b"GI"])
def test_no_image_at_all(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="expected one of JPEG"):
        decode(data)


def test_empty() -> None:
    with pytest.raises(BadImage, match="0 bytes"):
        decode(b"")


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("wh", [(25_000, 20_000), (10_000, 10_000), (64_000_001, 1)])
def test_too_many_pixels_are_refused_from_the_header(wh: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLarge, match="64000000"):
        decode(png_header(*wh))


def test_too_many_bytes() -> None:
    with pytest.raises(ImageTooLarge, match="at most 10 bytes, got 11"):
        decode(b"\xff\xd8\xff" + b"0" * 8, max_bytes=10)


@pytest.mark.parametrize(("target_hw", "factor"), [((100, 150), 1), ((50, 75), 2), ((27, 40), 4), ((13, 19), 8)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_decode_covers_the_target(target_hw: tuple[int, int], factor: int, orientation: int) -> None:
    data = with_orientation(image(112, 160), "JPEG", orientation)
    decoded = decode(data, target_hw=target_hw)
    assert decoded.image_hw == (112, 160)
    assert decoded.rgb.shape == (112 // factor, 160 // factor, 3)
    averaged = decode(data).rgb.reshape(112 // factor, factor, 160 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(averaged - decoded.rgb).mean() < 1.5


def test_reduced_decode_wants_even_divisors() -> None:
    """104 = 8 * 13, but 156 = 4 * 39: at 1/8 the last column would be half made up."""
    assert decode(encode(image(104, 156), "JPEG"), target_hw=(1, 1)).rgb.shape == (26, 39, 3)
    assert decode(encode(image(103, 156), "JPEG"), target_hw=(1, 1)).rgb.shape == (103, 156, 3)


def test_array_must_be_rgb_bytes() -> None:
    with pytest.raises(BadImage, match="expected an array"):
        Decoded.of_array(np.zeros((4, 4), np.uint8))


def test_the_same_damaged_bytes_give_the_same_words() -> None:
    """No address of an object: the output of a batch job is reproducible, errors included."""
    words = []
    for _ in range(2):
        with pytest.raises(BadImage, match=r"header of this PNG file is damaged$") as raised:
            decode(b"\x89PNG\r\n\x1a\n broken")
        words.append(str(raised.value))
    assert words[0] == words[1]
