"""AVIF and HEIC: grids and alpha against their tiles; what asks for more than its header states is refused."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from foveal.errors import BadImage, ImageTooLarge
from foveal.imaging.codecs import heif as heif_codec
from foveal.imaging.codecs import isobmff, pillow
from foveal.imaging.decode import decode, read_header
from foveal.imaging.memory import decode_bytes_bound
from tests.helpers import heif
from tests.helpers.costs import decode_cost
from tests.helpers.heif import Item, av1, file_of, full_box, grid, hevc


def avif(*items: Item, more_items: bytes = b"") -> bytes:
    return file_of(b"avif", items, more_items=more_items)


def with_size(item: Item, width: int, height: int) -> Item:
    return replace(item, properties=[heif.size(width, height), *item.properties[1:]])


def with_data(item: Item, data: bytes) -> Item:
    return replace(item, data=data)


def frame_in(item: Item) -> bytes:
    """The frame's unit of an AV1 item, without the sequence header before it."""
    return item.data[item.data.index(b"\x0a") + 2 + item.data[item.data.index(b"\x0a") + 1] :]


def test_a_grid_is_its_tiles_side_by_side() -> None:
    tiles = [av1(64, 64, colour) for colour in (0, 100, 200, 250)]
    whole = decode(avif(grid(2, 2, 120, 100, [2, 3, 4, 5]), *tiles)).rgb
    parts = [decode(avif(tile)).rgb for tile in tiles]
    expected = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])[:100, :120]
    assert np.array_equal(whole, expected)


def test_a_grid_of_heic_is_its_tiles_side_by_side() -> None:
    whole = decode(file_of(b"heic", [grid(2, 2, 180, 128, [2, 3, 4, 5]), *[hevc()] * 4])).rgb
    part = decode(heif.heic()).rgb
    assert whole.shape == (128, 180, 3)
    assert np.abs(whole.astype(int) - np.tile(part, (2, 2, 1))[:, :180]).max() <= 3  # chroma at the seams


def test_the_drawn_heic_is_read() -> None:
    rgb = decode(heif.heic()).rgb
    y, x = np.mgrid[:64, :96]
    drawn = np.stack([x * 2, y * 3, (x > 48) * 200], axis=2)
    assert np.abs(rgb.astype(int) - drawn).mean() < 6


def test_alpha_is_laid_over_white() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    file = io.BytesIO()
    image.save(file, "AVIF", quality=90)
    assert decode(file.getvalue()).rgb.min() >= 250


def test_of_an_animation_the_first_frame_is_read() -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:])
    assert np.abs(decode(file.getvalue()).rgb[0, 0].astype(int) - (255, 0, 0)).max() <= 3


def _in_band() -> bytes:
    """A HEIC whose item repeats its parameter set with another size: 6144 x 64."""
    item = hevc()
    configuration = next(each for each in item.properties if each[4:8] == b"hvcC")[8:]
    at = configuration.index(b"\x42\x01") - 2
    length = int.from_bytes(configuration[at : at + 2], "big")
    unit = configuration[at + 2 : at + 2 + length]
    place = unit.index(b"\xa0\x30\x81\x05")  # number 0, format 1, width 96, height 64
    wide = unit[:place] + _golomb("1010", 6144, 64) + unit[place + 4 :]
    return file_of(b"heic", [with_data(item, struct.pack(">I", len(wide)) + wide + item.data)])


def _golomb(before: str, *values: int) -> bytes:
    bits = before + "".join("0" * (len(f"{v + 1:b}") - 1) + f"{v + 1:b}" for v in values)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


SOUND = av1(64, 64)
FLOOD = b"".join(full_box(b"infe", struct.pack(">HH4sB", 1000 + i, 0, b"av01", 0), version=2) for i in range(10_000))
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "items": (lambda: avif(SOUND, more_items=FLOOD), "65536 bytes of tables of items"),
    "items of HEIC": (lambda: file_of(b"heic", [hevc()], more_items=FLOOD), "65536 bytes of tables of items"),
    "boxes": (lambda: avif(SOUND) + heif.box(b"free") * 5000, "4096 boxes"),
    "two tables": (lambda: avif(SOUND) + avif(SOUND), "one still image"),
    "a smaller size": (lambda: avif(with_size(av1(640, 640), 64, 64)), "states 64 x 64 pixels, its stream 640 x 640"),
    "a smaller size in HEIC": (
        lambda: file_of(b"heic", [with_size(hevc(), 16, 16)]),
        "states 16 x 16 pixels, its stream 96 x 64",
    ),
    "another size in the stream": (_in_band, "states 96 x 64 pixels, its stream 6144 x 64"),
    "many frames": (lambda: avif(with_data(SOUND, SOUND.data + frame_in(SOUND) * 20)), "4 AV1 frames of one image"),
    "many units": (lambda: avif(with_data(SOUND, b"\x12\0" * 20_000 + SOUND.data)), "16384 units of AV1"),
    "many images": (lambda: file_of(b"heic", [with_data(hevc(), hevc().data * 2)]), "1 HEVC image in one item"),
    "one extent again and again": (
        lambda: avif(replace(SOUND, data=SOUND.data + bytes(20_000), repeats=4000)),
        "bytes of items together",
    ),
    "one tile again and again": (lambda: avif(grid(16, 16, 64, 64, [2] * 256), SOUND), "do not cover 64 x 64"),
    "a tile of another size": (
        lambda: avif(grid(1, 2, 128, 64, [2, 3]), SOUND, with_size(av1(640, 640), 64, 64)),
        "its stream 640 x 640",
    ),
    "a large alpha": (
        lambda: avif(
            SOUND,
            replace(
                av1(640, 640),
                properties=[*av1(640, 640).properties, full_box(b"auxC", heif.ALPHA)],
                references={b"auxl": [1]},
            ),
        ),
        "alpha of 409600 pixels, colours of 4096",
    ),
    "an overlay": (lambda: avif(replace(SOUND, kind=b"iovl")), "made of items 'iovl' is not supported"),
    "an image made of itself": (lambda: avif(Item(b"iden", b"", (), {b"dimg": [1]})), "'iden' is not supported"),
    "no frame": (lambda: avif(with_data(SOUND, b"\x12\0")), "expected an AV1 sequence header and a frame"),
    "a cut unit": (lambda: avif(with_data(SOUND, SOUND.data[:-9])), "a unit|an AV1 unit is cut"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_asks_for_beyond_its_size_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(BadImage, match=message):
        read_header(make())


def test_a_large_tile_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="tiles of at most 3000 pixels"):
        read_header(avif(grid(1, 1, 40, 40, [2]), SOUND), max_pixels=3000)


def test_tiles_beyond_the_image_count_for_its_memory() -> None:
    small, large = avif(grid(1, 1, 40, 40, [2]), SOUND), avif(grid(1, 1, 40, 40, [2]), av1(640, 640))
    assert decode_bytes_bound(large) - decode_bytes_bound(small) > 2_000_000


@pytest.mark.parametrize("name", ["avif", "heic"])
def test_a_header_cut_or_damaged_anywhere_is_a_bad_image(name: str) -> None:
    sound = avif(grid(1, 2, 100, 64, [2, 3]), SOUND, SOUND) if name == "avif" else heif.heic()
    end, dice = sound.index(b"mdat") + 40, np.random.default_rng(0)
    for at in range(12, end):
        for data in (sound[:at], sound[:at] + bytes([sound[at] ^ dice.integers(1, 256)]) + sound[at + 1 :]):
            try:
                read_header(data)
            except BadImage:
                continue


def test_items_are_read_as_written() -> None:
    items, data = isobmff.read_items(avif(grid(1, 2, 100, 64, [2, 3]), SOUND, SOUND))
    assert items.primary == 1
    assert items.kinds == {1: b"grid", 2: b"av01", 3: b"av01"}
    assert items.targets(b"dimg", 1) == (2, 3)
    assert items.sources(b"dimg", [3]) == {1}
    assert data[items.extents[3][0]] == SOUND.data


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_large_images_are_decoded_as_small_ones(subsampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((101, 77)).save(file, "AVIF", quality=80, subsampling=subsampling)
    by_pillow = decode(file.getvalue()).rgb
    monkeypatch.setattr(heif_codec, "_LARGE_PIXELS", 0)
    monkeypatch.setattr(pillow, "pixels", None)
    assert np.array_equal(decode(file.getvalue()).rgb, by_pillow)


def test_grey_and_turned_large_images_are_decoded_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    grey = Image.fromarray(np.arange(77 * 101, dtype=np.uint16).reshape(77, 101).astype(np.uint8))
    grey.save(file, "AVIF", subsampling="4:0:0", exif=exif)
    by_pillow = decode(file.getvalue()).rgb
    monkeypatch.setattr(heif_codec, "_LARGE_PIXELS", 0)
    monkeypatch.setattr(pillow, "pixels", None)
    assert by_pillow.shape == (101, 77, 3)
    assert np.array_equal(decode(file.getvalue()).rgb, by_pillow)


def tables(*boxes: bytes) -> bytes:
    head = [full_box(b"hdlr", bytes(4), b"pict", bytes(13)), full_box(b"pitm", struct.pack(">H", 1))]
    return heif.box(b"ftyp", b"avif", bytes(4), b"mif1", b"avif", b"miaf") + full_box(b"meta", *head, *boxes)


MANY_UNITS = replace(SOUND, data=b"\x12\0" * 4000 + SOUND.data)
COUNTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "references beyond their box": (
        lambda: tables(full_box(b"iref", heif.box(b"dimg", struct.pack(">HHH", 1, 65_535, 1)) * 4000)),
        "a table of its items is cut",
    ),
    "items beyond their box": (
        lambda: tables(heif.box(b"iloc", b"\2\0\0\0\0\0" + b"\xff" * 4)) + heif.box(b"mdat", bytes(20_000_000)),
        "a table of its items is cut",
    ),
    "extents of no bytes": (
        lambda: tables(full_box(b"iloc", bytes(2), struct.pack(">H", 9000), struct.pack(">HHH", 1, 0, 65_535) * 9000)),
        "8192 extents of items",
    ),
    "units of many tiles": (
        lambda: avif(grid(25, 28, 28 * 64, 25 * 64, list(range(2, 702))), *[with_properties(MANY_UNITS)] * 700),
        "16384 units of AV1",
    ),
}


def with_properties(item: Item) -> Item:
    return replace(item, properties=[heif.size(64, 64)])


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_costs_no_more_than_the_bytes_behind_it(name: str) -> None:
    make, message = COUNTS[name]
    data = make()
    with pytest.raises(BadImage, match=message):
        read_header(data)
    assert decode_cost(data).cpu_s < 0.5


@pytest.mark.parametrize("brand", [b"avif", b"heic"])
def test_the_longest_tables_that_are_read_cost_little(brand: bytes) -> None:
    infe = FLOOD[: len(FLOOD) // 10_000 * 2700]
    data = file_of(brand, [SOUND if brand == b"avif" else hevc()], more_items=infe)
    cost = decode_cost(data)
    assert cost.outcome in ("64 x 64", "96 x 64")
    assert cost.cpu_s < 0.5
    assert cost.peak_bytes <= decode_bytes_bound(data)
