"""Preprocessing of imported models against the frameworks that they come from."""

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop
from torchvision.transforms.functional import resize as torchvision_resize

from foveal.imaging import class_map
from foveal.imaging.decode import Decoded
from foveal.imaging.preprocess import MAX_WHOLE, Preprocess
from foveal.imaging.resize import Interpolation, resize

SIDES = st.tuples(st.integers(1, 160), st.integers(1, 160))
ULTRALYTICS = {
    "mode": "letterbox",
    "interpolation": "bilinear",
    "padding": (114, 114, 114),
    "padding_position": "center",
    "rounding": "half_even",
    "common_scale": True,
    "reduced_decode": False,
}


def noise(hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(math.prod(hw)).integers(0, 256, (*hw, 3), np.uint8)


def decoded(rgb: npt.NDArray[np.uint8]) -> Decoded:
    height, width = rgb.shape[:2]
    return Decoded(rgb, (height, width), 1)


def ultralytics_letterbox(rgb: npt.NDArray[np.uint8], new_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The steps of Ultralytics' LetterBox, as its documentation gives them."""
    height, width = rgb.shape[:2]
    ratio = min(new_hw[0] / height, new_hw[1] / width)
    unpadded = max(1, round(width * ratio)), max(1, round(height * ratio))
    half_w, half_h = (new_hw[1] - unpadded[0]) / 2, (new_hw[0] - unpadded[1]) / 2
    content = cv2.resize(rgb, unpadded, interpolation=cv2.INTER_LINEAR)
    top, bottom = round(half_h - 0.1), round(half_h + 0.1)
    left, right = round(half_w - 0.1), round(half_w + 0.1)
    border = cv2.copyMakeBorder(content, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return np.asarray(border, np.uint8)


@settings(max_examples=60, deadline=None)
@given(image_hw=SIDES, input_hw=SIDES)
def test_centred_letterbox_is_that_of_ultralytics(image_hw: tuple[int, int], input_hw: tuple[int, int]) -> None:
    rgb = noise(image_hw)
    model_input, _ = Preprocess(input_hw=input_hw, **ULTRALYTICS).apply(decoded(rgb))
    np.testing.assert_array_equal(model_input, ultralytics_letterbox(rgb, input_hw))


@settings(max_examples=60, deadline=None)
@given(image_hw=SIDES, input_hw=SIDES)
def test_boxes_go_back_as_ultralytics_scales_them(image_hw: tuple[int, int], input_hw: tuple[int, int]) -> None:
    boxes = np.array([[0.2, 0.1, 0.9, 0.8], [0.4, 0.4, 0.6, 0.5]], np.float32) * (input_hw[::-1] * 2)
    gain = min(input_hw[0] / image_hw[0], input_hw[1] / image_hw[1])
    pad = [
        round((new - max(1, round(old * gain))) / 2 - 0.1)
        for new, old in zip(input_hw[::-1], image_hw[::-1], strict=True)
    ]
    expected = np.clip((boxes - (pad * 2)) / gain, 0, image_hw[::-1] * 2)
    _, transform = Preprocess(input_hw=input_hw, **ULTRALYTICS).apply(decoded(noise(image_hw)))
    np.testing.assert_allclose(transform.to_image(boxes), expected, rtol=1e-5, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(image_hw=SIDES, input_hw=SIDES)
def test_yolox_letterbox(image_hw: tuple[int, int], input_hw: tuple[int, int]) -> None:
    rgb = noise(image_hw)
    ratio = min(input_hw[0] / image_hw[0], input_hw[1] / image_hw[1])
    size = max(1, int(image_hw[1] * ratio)), max(1, int(image_hw[0] * ratio))
    expected = np.full((*input_hw, 3), 114, np.uint8)
    expected[: size[1], : size[0]] = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
    values = ULTRALYTICS | {"padding_position": "top_left", "rounding": "down"}
    model_input, transform = Preprocess(input_hw=input_hw, **values).apply(decoded(rgb))
    np.testing.assert_array_equal(model_input, expected)
    assert transform.scale_xy == (ratio, ratio)


@pytest.mark.parametrize(
    ("name", "filter_"),
    [("pillow_bilinear", Image.Resampling.BILINEAR), ("pillow_bicubic", Image.Resampling.BICUBIC)],
)
@settings(max_examples=25, deadline=None)
@given(image_hw=SIDES, size_hw=SIDES)
def test_pillow_filters_bit_for_bit(
    name: Interpolation, filter_: Image.Resampling, image_hw: tuple[int, int], size_hw: tuple[int, int]
) -> None:
    rgb = noise(image_hw)
    expected = np.asarray(Image.fromarray(rgb).resize(size_hw[::-1], filter_))
    np.testing.assert_array_equal(resize(rgb, size_hw, name), expected)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("pillow_bilinear", InterpolationMode.BILINEAR), ("pillow_bicubic", InterpolationMode.BICUBIC)],
)
@settings(max_examples=60, deadline=None)
@given(image_hw=SIDES, crop=st.integers(1, 48), more=st.integers(0, 20))
def test_centre_crop_is_that_of_torchvision(
    name: Interpolation, mode: InterpolationMode, image_hw: tuple[int, int], crop: int, more: int
) -> None:
    rgb = noise(image_hw)
    whole = torchvision_resize(Image.fromarray(rgb), crop + more, mode)
    expected = np.asarray(center_crop(whole, [crop, crop]))
    preprocess = Preprocess(
        mode="center_crop", input_hw=(crop, crop), shorter_px=crop + more, interpolation=name, reduced_decode=False
    )
    model_input, transform = preprocess.apply(decoded(rgb))
    if whole.width * whole.height <= MAX_WHOLE * crop * crop:
        np.testing.assert_array_equal(model_input, expected)
    else:
        assert np.abs(model_input.astype(int) - expected).mean() <= 1
    height, width = image_hw
    left = round((whole.width - crop) / 2)
    x = torch.linspace(0, width, 5).numpy()
    boxes = np.stack([x, 0 * x, x, 0 * x + height], axis=1).astype(np.float32)
    np.testing.assert_allclose(transform.to_input(boxes)[:, 0], x * whole.width / width - left, rtol=1e-4, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(image_hw=SIDES, crop=st.integers(1, 48), more=st.integers(0, 20))
def test_centre_crop_of_transformers(image_hw: tuple[int, int], crop: int, more: int) -> None:
    """Its crop begins at half the difference, rounded down (`center_crop` of image_transforms)."""
    rgb = noise(image_hw)
    whole = np.asarray(torchvision_resize(Image.fromarray(rgb), crop + more, InterpolationMode.BILINEAR))
    if whole.size > 3 * MAX_WHOLE * crop * crop:
        return
    top, left = (whole.shape[0] - crop) // 2, (whole.shape[1] - crop) // 2
    values = {"mode": "center_crop", "interpolation": "pillow_bilinear", "rounding": "down", "reduced_decode": False}
    model_input, _ = Preprocess(input_hw=(crop, crop), shorter_px=crop + more, **values).apply(decoded(rgb))
    np.testing.assert_array_equal(model_input, whole[top : top + crop, left : left + crop])


def test_centre_crop_of_a_strip_stays_small() -> None:
    preprocess = Preprocess(
        mode="center_crop", input_hw=(64, 64), shorter_px=64, interpolation="pillow_bilinear", reduced_decode=False
    )
    model_input, _ = preprocess.apply(decoded(np.full((2, 60_000, 3), 9, np.uint8)))  # whole: 64 x 1,920,000
    assert (model_input == 9).all()


@settings(max_examples=60, deadline=None)
@given(image_hw=SIDES)
def test_class_maps_come_from_centred_content(image_hw: tuple[int, int]) -> None:
    preprocess = Preprocess(input_hw=(96, 64), **ULTRALYTICS)
    rgb = np.zeros((*image_hw, 3), np.uint8)
    rgb[:, image_hw[1] // 2 :] = 255
    model_input, transform = preprocess.apply(decoded(rgb))
    (top, left), (height, width) = transform.content_yx, transform.content_hw
    padding = np.ones((96, 64), bool)
    padding[top : top + height, left : left + width] = False
    assert (model_input[padding] == 114).all()
    ids = np.where(padding, 7, model_input[..., 0] > 127).astype(np.uint8)
    back = class_map.to_image(ids, transform)
    assert back.shape == image_hw
    assert set(np.unique(back)) <= {0, 1}  # never the padding
    half = rgb[..., 0] > 127
    edge = max(2, math.ceil(2 / transform.scale_xy[0]))
    far = np.abs(np.arange(image_hw[1]) - image_hw[1] // 2) > edge
    assert (back[:, far] == half[:, far]).all()


def test_letterbox_fields_belong_to_letterbox() -> None:
    with pytest.raises(ValueError, match="padding_position belongs to mode letterbox"):
        Preprocess(mode="stretch", input_hw=(8, 8), padding_position="center")
    with pytest.raises(ValueError, match=r"expected values 0..255, got \(0, 0, 256\)"):
        Preprocess(mode="letterbox", input_hw=(8, 8), padding=(0, 0, 256))
    with pytest.raises(ValueError, match="reduced_decode: expected false with pillow_bilinear"):
        Preprocess(mode="stretch", input_hw=(8, 8), interpolation="pillow_bilinear")
