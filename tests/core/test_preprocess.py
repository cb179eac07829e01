"""Geometry there and back, and the pixels of the resize."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from foveal.imaging.decode import Decoded
from foveal.imaging.preprocess import Preprocess
from foveal.imaging.resize import resize

MODES = {
    "stretch": Preprocess(mode="stretch", input_hw=(64, 96)),
    "letterbox": Preprocess(mode="letterbox", input_hw=(64, 96)),
    "center_crop": Preprocess(mode="center_crop", input_hw=(64, 64), shorter_px=72),
}
sides = st.integers(1, 700)


def flat(height: int, width: int) -> Decoded:
    return Decoded.of_array(np.full((height, width, 3), 120, np.uint8))


@pytest.mark.parametrize("mode", MODES)
@given(height=sides, width=sides)
def test_input_has_its_size_and_boxes_come_back(mode: str, height: int, width: int) -> None:
    pre = MODES[mode]
    model_input, frame = pre.apply(flat(height, width))
    assert model_input.shape == (*pre.input_hw, 3)
    boxes = np.array([[0, 0, width, height], [width / 3, height / 4, width / 2, height / 2]], np.float32)
    back = frame.to_image(frame.to_input(boxes))
    assert np.abs(back - boxes).max() <= 1e-3 * max(height, width) / 100 + 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_a_marked_point_lands_where_the_frame_says(mode: str) -> None:
    """A bright square in the image is found on the model input at transform.to_input of its box."""
    rgb = np.zeros((240, 300, 3), np.uint8)
    box = np.array([[120, 90, 180, 150]], np.float32)
    rgb[90:150, 120:180] = 255
    model_input, frame = MODES[mode].apply(Decoded.of_array(rgb))
    ys, xs = np.nonzero(model_input[:, :, 0] > 127)
    if mode == "letterbox":
        assert frame.offset_xy == (0, 0)
        assert tuple(model_input[-1, -1]) == MODES[mode].padding_rgb or frame.content_hw == frame.input_hw
    inside = xs < frame.content_hw[1]
    found = [xs[inside].min(), ys[inside].min(), xs[inside].max() + 1, ys[inside].max() + 1]
    assert np.abs(frame.to_input(box)[0] - found).max() <= 1.0


def test_letterbox_sides_follow_the_contract() -> None:
    pre = Preprocess(mode="letterbox", input_hw=(416, 416))
    for height, width in [(480, 640), (333, 517), (1, 4000), (3, 2), (416, 416)]:
        scale = min(416 / height, 416 / width)
        expected = tuple(max(1, int(np.floor(scale * side + 0.5))) for side in (height, width))
        assert pre.resized_hw((height, width)) == expected
        model_input, frame = pre.apply(flat(height, width))
        assert frame.content_hw == expected
        assert (model_input[expected[0] :] == pre.padding_rgb).all()
        assert (model_input[:, expected[1] :] == pre.padding_rgb).all()


def test_geometry_does_not_depend_on_a_reduced_decode() -> None:
    rgb = cv2.resize(np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8), (801, 603))
    whole = Decoded.of_array(rgb)
    half = Decoded(resize(rgb, (302, 401), "area"), whole.image_hw)
    for pre in MODES.values():
        (model_input, frame), (input_half, frame_half) = pre.apply(whole), pre.apply(half)
        assert np.allclose(frame.scale_xy, frame_half.scale_xy, rtol=0.01)
        assert np.allclose(frame.offset_xy, frame_half.offset_xy, atol=0.6)
        assert frame.content_hw == frame_half.content_hw
        assert np.abs(model_input.astype(int) - input_half).mean() < 2


def test_area_resize_averages_blocks_exactly() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    blocks = rgb.reshape(10, 4, 15, 4, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(resize(rgb, (10, 15), "area") - blocks).max() <= 0.5001


def test_area_resize_does_not_alias_when_only_one_axis_shrinks() -> None:
    """OpenCV's INTER_AREA alone would sample single columns here: a 1-px checker must become grey, not stripes."""
    rgb = np.zeros((10, 1000, 3), np.uint8)
    rgb[:, ::2] = 255
    small = resize(rgb, (20, 10), "area").astype(int)
    assert np.abs(small - 127.5).max() <= 1


def test_extreme_aspect_ratio_stays_small_in_memory() -> None:
    model_input, frame = MODES["center_crop"].apply(flat(10, 200_000))
    assert model_input.shape == (64, 64, 3)
    assert frame.image_hw == (10, 200_000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "center_crop", "input_hw": (8, 8)}, "shorter_px"),
        ({"mode": "stretch", "input_hw": (8, 8), "shorter_px": 9}, "shorter_px"),
        ({"mode": "stretch", "input_hw": (0, 8)}, "at least 1"),
        ({"mode": "stretch", "input_hw": (8, 8), "std": (0, 1, 1)}, "positive"),
        ({"mode": "squash", "input_hw": (8, 8)}, "stretch"),
        ({"mode": "stretch", "input_hw": (8, 8), "colour": 1}, "colour"),
    ],
)
def test_nonsense_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Preprocess(**fields)


def test_it_survives_json() -> None:
    for pre in MODES.values():
        assert Preprocess.model_validate_json(pre.model_dump_json()) == pre
