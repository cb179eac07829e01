"""Augmentation: boxes and masks move with the pixels, whatever happens to the image."""

import numpy as np
import pytest
import torch

from foveal.models.detection.augmentation import Augmentation, Scene, quarter_turns
from foveal.models.detection.mosaic import boxes_of, copy_paste, mosaic
from foveal.models.detection.recipe import InstanceRecipe

FILL = (124, 116, 104)
OFF = {"flip": False, "rotate_90": False, "crop": 0, "zoom_out": 0, "brightness": 0, "saturation": 0, "hue": 0}


def scene(seed: int = 0, image_hw: tuple[int, int] = (80, 120)) -> Scene:
    """Black, with bright rectangles that are exactly their boxes and masks; class = grey level."""
    rng = np.random.default_rng(seed)
    rgb = np.zeros((*image_hw, 3), np.uint8)
    boxes, masks = [], []
    for grey in (150, 200, 250):
        x1, y1 = rng.integers(0, image_hw[1] - 30), rng.integers(0, image_hw[0] - 20)
        x2, y2 = x1 + rng.integers(8, 30), y1 + rng.integers(8, 20)
        mask = np.zeros(image_hw, np.uint8)
        mask[y1:y2, x1:x2] = 1
        rgb[mask > 0] = grey
        for earlier in masks:
            earlier[mask > 0] = 0
        boxes.append([x1, y1, x2, y2])
        masks.append(mask)
    stack = np.stack(masks)
    visible = stack.any((1, 2))
    boxes_xyxy = boxes_of(stack, np.array(boxes, np.float32))
    return Scene(rgb, boxes_xyxy[visible], np.arange(3, dtype=np.int64)[visible], stack[visible])


def check(one: Scene, *, slack_px: float = 0.0) -> None:
    """Every mask covers pixels of its own grey, and its box surrounds it."""
    assert one.masks is not None
    assert len(one.boxes_xyxy) == len(one.class_ids) == len(one.masks)
    height, width = one.rgb.shape[:2]
    assert one.masks.shape[1:] == (height, width)
    for box, class_id, mask in zip(one.boxes_xyxy, one.class_ids, one.masks, strict=True):
        pixels = one.rgb[mask > 0].astype(int) - (150, 200, 250)[class_id]
        if slack_px:  # resampled: borders are mixed with what lies beside them
            assert abs(np.median(pixels)) <= 5
        else:
            assert not pixels.any()
        assert (box[:2] >= 0).all()
        assert (box[2:] <= (width, height)).all()
        around = boxes_of(mask[None], box[None])[0]
        assert (around[:2] >= box[:2] - 0.01 - slack_px).all()
        assert (around[2:] <= box[2:] + 0.01 + slack_px).all()


@pytest.mark.parametrize(
    "step",
    [
        {"flip": True},
        {"rotate_90": True},
        {"crop": 1.0},
        {"zoom_out": 1.0},
        {"scale_jitter": 1.0},
        {"flip": True, "crop": 1.0, "scale_jitter": 0.5},
    ],
)
def test_geometry_moves_boxes_and_masks_with_the_pixels(step: dict[str, object]) -> None:
    augment = Augmentation(InstanceRecipe(**{**OFF, **step}), FILL)
    changed = 0
    for seed in range(12):
        torch.manual_seed(seed)
        before = scene(seed)
        after = augment(before)
        check(after)
        changed += before.rgb.shape != after.rgb.shape or not np.array_equal(before.rgb, after.rgb)
    assert changed >= 4


def test_scale_jitter_shows_a_window_or_adds_a_border_and_keeps_the_shape() -> None:
    augment = Augmentation(InstanceRecipe(**{**OFF, "scale_jitter": 1.0, "scale_jitter_max": 4.0}), FILL)
    torch.manual_seed(0)
    factors = []
    for seed in range(60):
        after = augment(scene(seed))
        height, width = after.rgb.shape[:2]
        assert height / width == pytest.approx(80 / 120, rel=0.03)
        factors.append(80 / height)
        if height > 80:
            border = after.rgb.reshape(-1, 3)
            assert (border == FILL).all(1).sum() == height * width - 80 * 120
    assert 0.25 <= min(factors) < 0.5
    assert 2 < max(factors) <= 4.1
    assert 20 <= sum(factor > 1 for factor in factors) <= 40


def test_four_quarter_turns_are_none() -> None:
    one = scene()
    turned = quarter_turns(quarter_turns(one, 3), 1)
    np.testing.assert_array_equal(turned.rgb, one.rgb)
    np.testing.assert_array_equal(turned.boxes_xyxy, one.boxes_xyxy)
    check(quarter_turns(one, 1))


def test_a_crop_drops_what_is_hardly_visible_and_keeps_the_rest() -> None:
    augment = Augmentation(InstanceRecipe(**{**OFF, "crop": 1.0, "crop_min_scale": 0.3}), FILL)
    counts = []
    for seed in range(30):
        torch.manual_seed(seed)
        counts.append(len(augment(scene(seed)).class_ids))
    assert min(counts) < 3
    assert max(counts) == 3


def test_a_scene_without_objects_survives_everything() -> None:
    one = scene()
    empty = one.keep(np.zeros(len(one.class_ids), bool))
    torch.manual_seed(0)
    after = Augmentation(InstanceRecipe(invert=1.0, grayscale=1.0), FILL)(empty)
    assert after.boxes_xyxy.shape == (0, 4)
    assert after.masks is not None
    assert len(mosaic([empty] * 4, FILL).class_ids) == 0
    np.testing.assert_array_equal(copy_paste(one, empty).rgb, one.rgb)


def test_mosaic_holds_objects_of_four_images_on_one_of_the_first_size() -> None:
    sizes = [(80, 120), (60, 60), (100, 40), (30, 200)]
    found = 0
    for seed in range(6):
        torch.manual_seed(seed)
        whole = mosaic([scene(seed + i, hw) for i, hw in enumerate(sizes)], FILL)
        assert whole.rgb.shape == (80, 120, 3)
        check(whole, slack_px=4)
        found += len(whole.class_ids)
    assert found > 12


def test_copy_paste_adds_objects_and_hides_what_lies_below() -> None:
    added = 0
    for seed in range(12):
        torch.manual_seed(seed)
        onto = scene(seed)
        pasted = copy_paste(onto, scene(seed + 50))
        check(pasted, slack_px=1)
        assert pasted.masks is not None
        assert (pasted.masks.sum(0) <= 1).all()
        added += len(pasted.class_ids) > len(onto.class_ids)
    assert added >= 3
