"""Embedded ICC profiles: the decoder against matrices in float64 and against littleCMS's own `tificc`."""

import io
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from foveal.imaging.codecs import colour
from foveal.imaging.decode import decode, from_pillow
from tests.helpers.costs import decode_cost
from tests.helpers.hostile_images import png_chunk, written
from tests.helpers.icc import PROFILES, SPACES, expected_srgb, rgb_profile

STEPS = np.linspace(0, 255, 20).round().astype(np.uint8)
CUBE = np.stack(np.meshgrid(STEPS, STEPS, STEPS), axis=-1).reshape(80, 100, 3)  # all corners of the colour space
WIDE = ["Display P3", "Adobe RGB", "ProPhoto", "linear"]
CONTAINERS: dict[str, dict[str, object]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


def worst(found: np.ndarray, expected: np.ndarray) -> int:
    return int(np.abs(found.astype(int) - expected).max())


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("space", WIDE)
def test_colours_are_within_2_of_255_of_the_matrices(space: str, container: str) -> None:
    data = written(Image.fromarray(CUBE), container, icc_profile=PROFILES[space], **CONTAINERS[container])
    assert worst(decode(data).rgb, expected_srgb(CUBE, *SPACES[space])) <= 2
    assert np.array_equal(decode(data).rgb, from_pillow(Image.open(io.BytesIO(data))).rgb)


@pytest.mark.skipif(shutil.which("tificc") is None, reason="no tificc on this machine (Debian: liblcms2-utils)")
@pytest.mark.parametrize("space", WIDE)
def test_colours_are_within_2_of_255_of_tificc(space: str, tmp_path: Path) -> None:
    data = written(Image.fromarray(CUBE), "TIFF", icc_profile=PROFILES[space])
    (tmp_path / "in.tif").write_bytes(data)
    subprocess.run(["tificc", "-e", "-t0", "in.tif", "out.tif"], cwd=tmp_path, check=True, capture_output=True)
    assert worst(decode(data).rgb, np.asarray(Image.open(tmp_path / "out.tif").convert("RGB"))) <= 2


@pytest.mark.parametrize("container", ["JPEG", "AVIF"])
@pytest.mark.parametrize("space", WIDE)
def test_lossy_files_are_converted_as_pillow_would(space: str, container: str) -> None:
    data = written(Image.fromarray(CUBE), container, icc_profile=PROFILES[space], quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        source = ImageCms.ImageCmsProfile(io.BytesIO(PROFILES[space]))
        converted = ImageCms.profileToProfile(opened, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None
    assert worst(decode(data).rgb, np.asarray(converted)) <= 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_turned_photo_is_converted_and_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    profile = PROFILES["Display P3"]
    data = written(Image.fromarray(CUBE), "TIFF", icc_profile=profile, exif=exif)
    upright = expected_srgb(CUBE, *SPACES["Display P3"])
    assert worst(decode(data).rgb, np.rot90(upright, -1) if orientation == 6 else upright) <= 2


def test_grey_with_a_profile_of_grey() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(4, axis=0)
    linear = ramp / 255.0
    expected = (255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)).round()
    for container in ("PNG", "TIFF"):
        found = decode(written(Image.fromarray(ramp), container, icc_profile=PROFILES["grey"])).rgb
        assert worst(found, np.repeat(expected[:, :, None], 3, axis=2)) <= 2, container


def test_a_reduced_decode_is_converted_too() -> None:
    pixels = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    data = written(Image.fromarray(pixels), "JPEG", icc_profile=PROFILES["ProPhoto"], quality=95)
    reduced = decode(data, target_hw=(8, 8)).rgb
    assert reduced.shape == (8, 8, 3)
    assert worst(reduced, np.broadcast_to(decode(data).rgb[:1, :1], reduced.shape)) <= 2


IGNORED: dict[str, Callable[[], bytes]] = {
    "none": lambda: b"",
    "sRGB under another name": lambda: PROFILES["sRGB"],
    "damaged": lambda: PROFILES["ProPhoto"][:200] + bytes(400),
    "of grey values": lambda: PROFILES["grey"],
    "noise": lambda: bytes(range(256)) * 8,
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_not_a_profile_of_these_pixels_changes_nothing(name: str) -> None:
    data = written(Image.fromarray(CUBE), "PNG", icc_profile=IGNORED[name]())
    assert worst(decode(data).rgb, CUBE) <= 1


def test_a_bomb_in_a_profile_is_not_unpacked() -> None:
    plain = written(Image.fromarray(CUBE), "PNG")
    bomb = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(colour.MAX_PROFILE_BYTES * 20), 9))
    assert np.array_equal(decode(plain[:33] + bomb + plain[33:]).rgb, CUBE)


def test_threads_share_a_transform() -> None:
    """Transforms are cached: what one thread converts may not depend on what the others do."""
    data = [written(Image.fromarray(CUBE), "PNG", icc_profile=PROFILES[space]) for space in WIDE]
    alone = [decode(each).rgb for each in data]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: decode(data[i % 4]).rgb, range(200)))
    assert all(np.array_equal(rgb, alone[i % 4]) for i, rgb in enumerate(together))


def float_tables(count: int) -> bytes:
    """A tag of multiProcessElements: `count` times the same one, a matrix that swaps red and blue."""
    matrix = np.eye(3)[::-1].ravel()
    element = b"matf" + bytes(4) + struct.pack(">HH", 3, 3) + np.array([*matrix, 0, 0, 0], ">f4").tobytes()
    at = 16 + 8 * count
    return (
        b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, count) + struct.pack(">II", at, len(element)) * count + element
    )


@pytest.mark.parametrize("tag", [b"D2B0", b"D2B1", b"D2B3", b"B2D0"])
def test_tables_of_floats_are_passed_over(tag: bytes) -> None:
    """Their list of elements is of unbounded length: 6 kB of PNG took minutes."""
    profile = rgb_profile(*SPACES["Display P3"], more={tag: float_tables(400_001)})
    data = written(Image.fromarray(CUBE), "PNG", icc_profile=profile)
    assert len(data) < 50_000
    assert worst(decode(data).rgb, expected_srgb(CUBE, *SPACES["Display P3"])) <= 2
    assert decode_cost(data).cpu_s < 1
