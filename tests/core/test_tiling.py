"""Sliding windows: every pixel once, seams where both windows know enough, and the answer of an image in one piece."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foveal.errors import BadRequest
from foveal.imaging import tiling
from foveal.imaging.preprocess import Preprocess
from foveal.imaging.tiling import windows_over
from foveal.inference.pipeline import Pipeline
from foveal.options import Options
from foveal.synth import rectangles
from foveal.tasks import TASKS
from foveal.tasks.semantic_segmentation import SemanticMap
from tests.helpers.semantic import bright_predictor

NATIVE = Preprocess(mode="letterbox", input_hw=(128, 128), mean=(0, 0, 0))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(128, 900))
def test_kept_parts_cover_every_pixel_once(height: int, width: int, side: int) -> None:
    try:
        windows = windows_over((height, width), side)
    except BadRequest:
        return
    covered = np.zeros((height, width), np.uint8)
    for window in windows:
        rows, columns = window.rows, window.columns
        assert 0 <= rows.start <= rows.kept_start < rows.kept_stop <= rows.stop <= height
        assert rows.stop - rows.start == min(side, height)
        assert columns.stop - columns.start == min(side, width)
        covered[rows.kept_start : rows.kept_stop, columns.kept_start : columns.kept_stop] += 1
        for span, length in ((rows, height), (columns, width)):  # an eighth of a window around a seam at least
            assert span.start == 0 or span.kept_start - span.start >= side // 8
            assert span.stop == length or span.stop - span.kept_stop >= side // 8
    assert (covered == 1).all()


def test_too_many_windows_are_refused_with_a_side_that_would_do() -> None:
    with pytest.raises(BadRequest, match="'tile': expected at least 416 for an image of 6000 x 4000 pixels") as refused:
        windows_over((4000, 6000), 128)
    assert "256 windows" in str(refused.value)
    assert len(windows_over((4000, 6000), 416)) <= tiling.MAX_WINDOWS


def test_join_takes_each_pixel_from_the_window_that_keeps_it() -> None:
    windows = windows_over((200, 300), 128)
    whole = np.random.default_rng(0).integers(0, 5, (200, 300), dtype=np.uint8)
    maps = []
    for window in windows:
        shown = np.full((128, 128), 4, np.uint8)  # wrong wherever it is not kept
        rows, columns = window.rows, window.columns
        inner = np.s_[
            rows.kept_start - rows.start : rows.kept_stop - rows.start,
            columns.kept_start - columns.start : columns.kept_stop - columns.start,
        ]
        shown[inner] = whole[rows.kept_start : rows.kept_stop, columns.kept_start : columns.kept_stop]
        maps.append(SemanticMap(shown, tuple("abcde"), (128, 128)))
    joined = TASKS["semantic-segmentation"].join(zip(windows, maps, strict=True), (200, 300))
    assert np.array_equal(joined.class_map, whole)


@pytest.fixture(scope="module")
def native() -> Pipeline:
    """A network that answers each pixel by its own brightness, on a model input of 128 x 128."""
    return bright_predictor(NATIVE)


def image(scene_rgb: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scene_rgb).save(out, "PNG", **options)
    return out.getvalue()


def test_windows_of_the_input_size_keep_every_detail(native: Pipeline) -> None:
    """Rectangles whose edges blur in the shrunken image are exact in windows."""
    rgb = rectangles((430, 550), 60, seed=4).rgb
    bright = rgb[:, :, 0] > 100  # what the network looks for
    tiled, whole = native(image(rgb), options=Options(tile=128)), native(image(rgb))
    assert np.array_equal(tiled.class_map, bright)
    assert (whole.class_map != bright).mean() > 0.005


def test_a_image_that_fits_the_window_is_answered_as_ever(native: Pipeline) -> None:
    scene = rectangles((100, 128), 9, seed=5)
    plain, tiled = native.prepare(scene.rgb), native.prepare(scene.rgb, options=Options(tile=128))
    assert tiled.parts == ()
    assert np.array_equal(plain.model_input, tiled.model_input)


def test_images_with_and_without_windows_share_a_batch(native: Pipeline) -> None:
    scenes = [rectangles(hw, 9, seed=6) for hw in ((100, 128), (300, 128), (128, 90))]
    prepared = [native.prepare(s.rgb, options=Options(tile=128)) for s in scenes]
    options = [Options(tile=128)] * 3
    for scene, item, raw in zip(scenes, prepared, native.infer(prepared, options), strict=True):
        assert np.array_equal(native.finish(raw, item, options[0]).class_map, scene.class_map)


def test_jpegs_are_decoded_in_full_for_windows(native: Pipeline) -> None:
    """A reduced decode, right for the small model input, would leave the windows without their detail."""
    out = io.BytesIO()
    Image.fromarray(rectangles((512, 1024), 30, seed=7).rgb).save(out, "JPEG", quality=95)
    prepared = native.prepare(out.getvalue(), options=Options(tile=256))
    assert len(prepared.parts) == 3 * 5
    assert prepared.parts[0].prepared.transform.image_hw == (256, 256)
    assert prepared.transform.image_hw == (512, 1024)


@pytest.mark.parametrize("text", ["0", "127", "8193", "on", "-5", "1e3"])
def test_tile_is_a_whole_number_of_pixels(native: Pipeline, text: str) -> None:
    with pytest.raises(BadRequest, match=r"'tile': expected a whole number 128\.\.8192"):
        Options.parse({"tile": text}, applicable=native.task.option_names, labels=())
