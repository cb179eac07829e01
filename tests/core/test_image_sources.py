"""Image sources: whatever holds an image gives what the same image in a file gives, to the bit."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import foveal
from foveal.imaging.sources import load
from tests.helpers.packages import write_colours

MODES = ("L", "LA", "RGB", "RGBA", "P", "P+transparency", "P+alphas", "1", "CMYK", "I;16")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> foveal.Predictor:
    zoo = tmp_path_factory.mktemp("sources")
    write_colours(zoo, input_hw=(16, 16))
    return foveal.load("colours", zoo=zoo)


def drawn(mode: str, size: tuple[int, int], seed: int) -> Image.Image:
    """Random pixels of a mode; P with one transparent index, or with an alpha for each."""
    width, height = size
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
    if mode == "1":
        return Image.fromarray(rng.random((height, width)) > 0.5)
    if mode.startswith("P"):
        image = Image.fromarray(rng.integers(0, 8, (height, width), dtype=np.uint8), "P")
        image.putpalette(rng.integers(0, 256, 24, dtype=np.uint8).tolist())
        if mode != "P":
            image.info["transparency"] = 3 if mode == "P+transparency" else bytes(rng.integers(0, 256, 8).tolist())
        return image
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (height, width) if bands == 1 else (height, width, bands)
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode)


def saved(image: Image.Image, mode: str) -> bytes:
    """The image in a lossless file, its EXIF with it: PNG, or TIFF for CMYK, which PNG lacks."""
    file = io.BytesIO()
    image.save(file, "TIFF" if mode == "CMYK" else "PNG", exif=image.getexif())
    return file.getvalue()


sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
images = st.builds(drawn, st.sampled_from(MODES), sizes, st.integers(0, 2**16))


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MODES), sizes, st.integers(0, 2**16), st.integers(1, 8))
def test_pillow_gives_what_the_file_gives(
    model: foveal.Predictor, mode: str, size: tuple[int, int], seed: int, orientation: int
) -> None:
    image = drawn(mode, size, seed)
    if orientation > 1:
        image.getexif()[0x0112] = orientation
    before = image.tobytes()
    data = saved(image, mode)
    from_memory, from_file = load(image), load(data)
    assert np.array_equal(from_memory.rgb, from_file.rgb)
    assert from_memory.image_hw == from_file.image_hw == (size if orientation >= 5 else size[::-1])
    assert image.tobytes() == before
    opened = Image.open(io.BytesIO(data))
    results = [model(source) for source in (image, data, opened, opened)]  # opened: first lazily, then loaded
    assert all(result == results[0] for result in results)
    assert {str(result.to_dict()) for result in results} == {str(results[0].to_dict())}
    assert results[0].draw(image).tobytes() == results[0].draw(data).tobytes()


def png(seed: int = 0) -> bytes:
    return saved(drawn("RGB", (20, 30), seed), "RGB")


class Reader:
    """A file object that can only be read."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def read(self) -> Any:
        return self.data


def test_every_kind_of_source_gives_the_same(model: foveal.Predictor, tmp_path: Path) -> None:
    data, path = png(), tmp_path / "a.png"
    path.write_bytes(data)
    pixels = np.asarray(Image.open(path))
    with path.open("rb") as handle:
        sources = [str(path), path, bytearray(data), memoryview(data), io.BytesIO(data), handle, Reader(data)]
        sources += [pixels, np.asfortranarray(pixels), pixels[:, ::-1][:, ::-1], Image.open(path)]
        expected = model(data)
        for source in sources:
            assert model(source) == expected, source
        assert model(sources) == model(tuple(sources)) == [expected] * len(sources)
        assert expected.draw(handle).tobytes() == expected.draw(pixels).tobytes()  # a handle that was read before


def test_lists(model: foveal.Predictor) -> None:
    files = [png(seed) for seed in range(5)]
    assert model(files) == [model(data) for data in files]
    assert model([]) == []
    assert model.batch(iter(files)) == model(files)
    assert len({str(result.to_dict()) for result in model(files)}) == 5


def test_a_file_object_is_read_from_where_it_stands_and_put_back(model: foveal.Predictor) -> None:
    file = io.BytesIO(b"prefix" + png())
    file.seek(6)
    assert model(file) == model(file) == model(png())
    assert file.tell() == 6


def wrong_sources() -> Iterator[tuple[str, Callable[[Path], Any], str]]:
    expected = "expected a path, bytes, a file object opened for reading bytes, a Pillow image, an array"
    uint8 = "expected an array (height, width, 3) of uint8 RGB, got shape "
    yield "none", lambda _: None, f"{expected} (height, width, 3) of uint8 RGB, or a list of these, got NoneType"
    yield "number", lambda _: 5, "got int"
    yield "dict", lambda _: {}, "got dict"
    yield "generator", lambda _: iter([png()]), "got list_iterator"
    yield "nested list", lambda _: [[png()]], "got list"
    yield "folder", lambda here: here, "expected a readable file: Is a directory"
    yield "no file", lambda here: here / "none.png", "none.png: expected a readable file: No such file or directory"
    yield "null byte", lambda _: "a\0b", "expected a readable file: embedded null byte"
    yield "empty", lambda _: b"", "got 0 bytes"
    yield "no image", lambda _: b"hello", "expected one of JPEG, PNG"
    yield "damaged", lambda _: png()[:60], "this PNG file is truncated or corrupt"
    yield "text", lambda _: io.StringIO("hello"), "got StringIO"
    yield "reads text", lambda _: Reader("hello"), "expected a file object that reads bytes, got str from it"
    yield "at its end", at_end, "got 0 bytes: the file object stands at byte"
    yield "closed file", closed, "expected a readable file: I/O operation on closed file"
    yield "released", released, "expected a readable file"
    yield "grey array", lambda _: np.zeros((4, 5), np.uint8), f"{uint8}(4, 5) uint8; grey or transparent pixels: pass "
    yield "RGBA array", lambda _: np.zeros((4, 5, 4), np.uint8), f"{uint8}(4, 5, 4) uint8; grey or transparent"
    yield "several", lambda _: np.zeros((2, 4, 5, 3), np.uint8), f"{uint8}(2, 4, 5, 3) uint8"
    yield "float array", lambda _: np.zeros((4, 5, 3)), f"{uint8}(4, 5, 3) float64"
    yield "bool array", lambda _: np.zeros((4, 5, 3), bool), f"{uint8}(4, 5, 3) bool"
    yield "empty array", lambda _: np.zeros((0, 5, 3), np.uint8), f"{uint8}(0, 5, 3) uint8"
    yield "mode F", lambda _: Image.new("F", (3, 3)), "expected 8 or 16 bits a sample, got 32 (Pillow mode F)"
    yield "no pixels", lambda _: Image.new("RGB", (0, 3)), "expected an image with pixels, got one of 0 x 3"


def at_end(_: Path) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file


def closed(here: Path) -> Any:
    (here / "a.png").write_bytes(png())
    with (here / "a.png").open("rb") as file:
        return file


def released(_: Path) -> memoryview:
    view = memoryview(png())
    view.release()
    return view


@pytest.mark.parametrize(("source", "message"), [pytest.param(s, m, id=name) for name, s, m in wrong_sources()])
def test_wrong_sources(model: foveal.Predictor, tmp_path: Path, source: Callable[[Path], Any], message: str) -> None:
    for call in (model, lambda image: model([png(), image]), model(png()).draw):
        with pytest.raises(foveal.FovealError) as caught:
            call(source(tmp_path))
        assert message in str(caught.value) or isinstance(source(tmp_path), list)


def test_drawing_on_another_image(model: foveal.Predictor) -> None:
    with pytest.raises(
        foveal.FovealError, match="expected the image that was predicted, 20 x 30 px, got one of 3 x 4 px"
    ):
        model(png()).draw(Image.new("RGB", (3, 4)))
