"""Whatever the bytes are, the decoder gives an image or a BadImage. `make fuzz` tries 100,000 damaged files."""

import io
import os
import random
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from foveal.errors import BadImage
from foveal.imaging.decode import decode
from tests.helpers.hostile_images import CONTAINERS, sample

EXAMPLES = int(os.environ.get("FOVEAL_FUZZ_EXAMPLES", "100000"))
MAX_PIXELS = 1_000_000  # damage makes sizes up; what is larger is refused unread
SIZE = (40, 32)  # both divisible by 8, so that JPEG can be decoded at 1/2, 1/4 and 1/8


def whole_files() -> dict[str, bytes]:
    """Every container, and what decoders have separate code for."""
    animated = io.BytesIO()
    frames = [Image.new("P", SIZE, i) for i in range(3)]
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    return {name: sample(name, SIZE) for name in CONTAINERS} | {
        "progressive JPEG": sample("JPEG", SIZE, progressive=True),
        "turned JPEG": sample("JPEG", SIZE, exif=exif.tobytes()),
        "PNG in all lines": sample("PNG", SIZE, optimize=True),
        "turned PNG": sample("PNG", SIZE, exif=exif.tobytes()),
        "lossless WEBP": sample("WEBP", SIZE, lossless=True),
        "LZW TIFF": sample("TIFF", SIZE, compression="tiff_lzw"),
        "JPEG in TIFF": sample("TIFF", SIZE, compression="jpeg"),
        "animated GIF": animated.getvalue(),
    }


FILES = whole_files()
KINDS = ("set", "flip", "cut", "drop", "repeat", "number")
TARGETS_HW = (None, (5, 4), (32, 40))
EDIT = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 2**16),  # where, wrapped round
    st.integers(0, 255),
)


def edited(data: bytes, edits: list[tuple[str, int, int]]) -> bytes:
    """Damage, one edit after the other."""
    changed = bytearray(data)
    for kind, where, value in edits:
        at = where % max(1, len(changed))
        if kind == "set":
            changed[at : at + 1] = bytes([value])
        elif kind == "flip":
            changed[at : at + 1] = bytes(byte ^ (1 << value % 8) for byte in changed[at : at + 1])
        elif kind == "cut":
            del changed[at:]
        elif kind == "drop":
            del changed[at : at + value]
        elif kind == "repeat":
            changed[at:at] = changed[at : at + value]
        else:  # a length or a size: the extremes of two or four bytes
            changed[at : at + 4] = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff", b"\0\1", b"\xff\xfe")[value % 5]
    return bytes(changed)


def with_right_checksums(data: bytes) -> bytes:
    """A damaged PNG whose chunks check, so that damage gets past the first look."""
    mended, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        mended[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


def check(name: str, edits: list[tuple[str, int, int]], mend: bool, target_hw: tuple[int, int] | None) -> bool:
    """Whether it still was an image; anything but an image or a BadImage fails."""
    data = edited(FILES[name], edits)
    if mend and "PNG" in name:
        data = with_right_checksums(data)
    try:
        decoded = decode(data, target_hw=target_hw, max_pixels=MAX_PIXELS)
    except BadImage:
        return False
    height, width = decoded.image_hw
    assert 0 < height * width <= MAX_PIXELS
    assert (decoded.rgb.ndim, decoded.rgb.shape[2], decoded.rgb.dtype) == (3, 3, "uint8")
    assert decoded.rgb.flags.c_contiguous
    assert decoded.rgb.shape[:2] == (height, width) or (target_hw is not None and "JPEG" in name)
    return True


@settings(max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(EDIT, min_size=1, max_size=8),
    mend=st.booleans(),
    target_hw=st.sampled_from(TARGETS_HW),
)
def test_damage_gives_a_image_or_a_bad_image(
    name: str, edits: list[tuple[str, int, int]], mend: bool, target_hw: tuple[int, int] | None
) -> None:
    check(name, edits, mend, target_hw)


@pytest.mark.slow
def test_at_length() -> None:
    """Each number is a damage of its own, so that one alone can be looked at again."""
    images = 0
    for number in range(EXAMPLES):
        if number % 1000 == 0:
            print(f"from {number} on", flush=True)  # should the process itself die
        dice = random.Random(number)
        name = dice.choice(sorted(FILES))
        edits = [(dice.choice(KINDS), dice.randrange(2**16), dice.randrange(256)) for _ in range(dice.randint(1, 8))]
        images += check(name, edits, dice.random() < 0.5, dice.choice(TARGETS_HW))
    print(f"{images} of {EXAMPLES} still were images")
    assert 0 < images < EXAMPLES, "damage that never or always matters tries nothing"


def test_the_files_are_whole_before_the_damage() -> None:
    for name, data in FILES.items():
        assert set(decode(data).image_hw) == set(SIZE), name
