import json
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torchvision.models.detection.roi_heads import paste_masks_in_image

from foveal.formats import Entry, entry_object
from foveal.imaging import masks
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance
from foveal.tasks import TASKS
from tests.helpers.detectors import pipeline, scene, two_stage_graph
from tests.helpers.images import stored_turned as photo

INPUT_HW = (64, 64)
yy, xx = np.mgrid[:28, :28]
RING = ((np.hypot(yy - 13.5, xx - 13.5) < 13) & (np.hypot(yy - 13.5, xx - 13.5) > 6)).astype(np.float32)
# no symmetry: a flipped, turned or shifted mask shows
WEDGE = np.clip((xx + 2 * yy) / 60, 0, 1).astype(np.float32)
MODELS = {"wedge": two_stage_graph(INPUT_HW, WEDGE), "ring": two_stage_graph(INPUT_HW, RING)}
TASK = TASKS["instance-segmentation"]


def entry(result: Any, mask_format: str = "rle") -> dict[str, Any]:
    return entry_object(Entry("a.png", result), TASK, Options(mask_format=mask_format))


@pytest.mark.parametrize("image_hw", [(64, 64), (63, 37), (101, 203), (640, 40), (33, 900), (5, 7)])
def test_masks_line_up_with_boxes_and_image_at_any_size(image_hw: tuple[int, int]) -> None:
    """The mask in original pixels is torchvision's paste of the soft mask into the box in original pixels."""
    height, width = image_hw
    box = (width // 4, height // 4, max(width * 3 // 4, width // 4 + 1), height)  # touches the lower border
    result = pipeline(MODELS["wedge"], input_hw=INPUT_HW)(scene(image_hw, {"green": box}))
    (row,) = entry(result)["detections"]
    got = coco_mask.decode(row["mask"])
    assert got.shape == image_hw
    soft, boxes = torch.from_numpy(WEDGE)[None, None], torch.from_numpy(result.boxes_xyxy)
    expected = (paste_masks_in_image(soft, boxes, image_hw)[0, 0] > 0.5).numpy()
    assert np.count_nonzero(got != expected) <= got.size / 1e6
    assert row["area_px"] == np.count_nonzero(got) > 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_follow_exif_orientation(orientation: int) -> None:
    upright = scene((48, 64), {"red": (5, 7, 40, 30), "blue": (50, 31, 64, 48)})  # blue in the corner
    run = pipeline(MODELS["wedge"], input_hw=INPUT_HW)
    expected = entry(run(upright))
    got = entry(run(photo(upright, orientation, "PNG")))
    assert got["detections"] == expected["detections"]
    assert [row["mask"]["size"] for row in got["detections"]] == [[48, 64]] * 2


def test_a_one_pixel_object_has_a_mask() -> None:
    result = pipeline(two_stage_graph(INPUT_HW, np.ones((28, 28), np.float32)), input_hw=INPUT_HW)(
        scene(INPUT_HW, {"red": (20, 30, 21, 31)})
    )
    (row,) = entry(result)["detections"]
    assert row["box"] == [20, 30, 21, 31]
    # torchvision grows the box by 1/28 before it cuts the edges to whole numbers: a full mask gets the 3 x 3 around it
    assert np.argwhere(coco_mask.decode(row["mask"])).tolist() == [[y, x] for y in (29, 30, 31) for x in (19, 20, 21)]


@pytest.mark.parametrize("mask_format", ["rle", "polygon", "png"])
def test_every_format_tells_the_same_pixels_and_keeps_the_hole(mask_format: str) -> None:
    result = pipeline(MODELS["ring"], input_hw=INPUT_HW)(scene((128, 128), {"red": (10, 20, 90, 110)}))
    (row,) = entry(result, mask_format)["detections"]
    full = result.bitmap(0).full() > 0
    got = masks.decode(row["mask"], (128, 128))
    assert row["mask"]["format"] == mask_format
    assert row["area_px"] == np.count_nonzero(full)
    assert not got[65, 50], "the hole was filled"
    overlap = np.count_nonzero(got & full) / np.count_nonzero(got | full)
    assert overlap == 1 if mask_format != "polygon" else overlap > 0.97
    json.dumps(row, allow_nan=False)


def test_mask_format_none_leaves_masks_out_but_counts_pixels() -> None:
    result = pipeline(MODELS["ring"], input_hw=INPUT_HW)(scene(INPUT_HW, {"red": (10, 20, 50, 60)}))
    (row,) = entry(result, "none")["detections"]
    assert "mask" not in row
    assert row["area_px"] > 0


def test_no_instances() -> None:
    result = pipeline(MODELS["ring"], input_hw=INPUT_HW)(scene(INPUT_HW, {}))
    assert len(result) == len(result.masks) == 0
    assert entry(result)["detections"] == []


def test_masks_keep_their_boxes_through_order_classes_and_cut() -> None:
    """Rows of a graph in any order: each mask stays with its row."""
    run = pipeline(MODELS["wedge"], input_hw=INPUT_HW)
    transform = run.prepare(scene(INPUT_HW, {})).transform
    outputs = {
        "boxes": np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32),
        "scores": np.array([0.6, 0.9, 0.8], np.float32),
        "class_ids": np.array([0, 1, 2], np.int64),
        "masks": np.stack([np.full((28, 28), value, np.float32) for value in (0.1, 0.2, 0.3)]),
    }
    options = Options(classes=("red", "blue"), max_detections=2).resolved(run.spec.defaults)
    result = TASK.decode(outputs, transform, run.spec, options)
    assert result.boxes_xyxy[:, 0].tolist() == [40, 0]
    assert result.masks.soft[:, 0, 0].tolist() == np.float32([0.3, 0.1]).tolist()


def test_csv_counts_and_measures() -> None:
    result = pipeline(MODELS["ring"], input_hw=INPUT_HW)(scene(INPUT_HW, {"red": (10, 20, 50, 60)}))
    rendered = entry(result)
    (row,) = result.rows()
    assert set(row) == set(TASK.columns)
    assert row["area_px"] == rendered["detections"][0]["area_px"]


@pytest.mark.parametrize("mask_format", ["rle", "polygon", "png"])
def test_golden_differences_see_a_lost_mask(mask_format: str) -> None:
    image = scene((128, 128), {"red": (10, 20, 90, 110), "blue": (100, 100, 112, 112)})
    ring = entry(pipeline(MODELS["ring"], input_hw=INPUT_HW)(image), mask_format)
    wedge = entry(pipeline(MODELS["wedge"], input_hw=INPUT_HW)(image), mask_format)
    assert TASK.differences(ring, ring, GoldenTolerance()) == []
    found = TASK.differences(ring, wedge, GoldenTolerance())
    assert len(found) == 2  # the small object's too
    assert "mask of red" in found[0]
