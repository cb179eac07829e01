"""The shipped detector, whole: boxes land in original pixels, no threshold is too low."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveal
from foveal import synth
from foveal.inference.pipeline import Predictor
from foveal.options import MAX_DETECTIONS, Options
from foveal.synth.scene import Scene
from tests.helpers.images import stored_turned as photo
from tests.helpers.packages import encoded

ZOO = Path(__file__).parents[2] / "zoo"
NAME = "blood-cells"


@pytest.fixture(scope="module")
def model() -> Predictor:
    return foveal.load(NAME, zoo=ZOO)


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    """A small data set."""
    return [synth.draw("blood", image_hw=(240, 320), index=i) for i in range(6)]


def png(scene: Scene) -> bytes:
    return encoded(Image.fromarray(scene.rgb), "PNG")


@pytest.mark.parametrize("orientation", [2, 5, 6, 8])
def test_every_way_to_store_a_photo_gives_the_same_boxes(
    model: Predictor, drawn: list[Scene], orientation: int
) -> None:
    upright = model(photo(drawn[0].rgb, 1, "PNG"))
    turned = model(photo(drawn[0].rgb, orientation, "PNG"))
    assert len(upright) > 3
    np.testing.assert_array_equal(turned.boxes_xyxy, upright.boxes_xyxy)


@pytest.mark.parametrize("image_hw", [(240, 320), (331, 257)])
def test_boxes_land_on_the_cells_in_images_of_other_shapes(model: Predictor, image_hw: tuple[int, int]) -> None:
    """Without a drift: a wrong scale or offset would move all boxes one way."""
    scene = synth.draw("blood", image_hw=image_hw, index=1)
    found = model(png(scene), options=Options(score_threshold=0.3))
    low = np.maximum(found.boxes_xyxy[:, None, :2], scene.boxes_xyxy[None, :, :2])
    high = np.minimum(found.boxes_xyxy[:, None, 2:], scene.boxes_xyxy[None, :, 2:])
    inter = np.maximum(high - low, 0).prod(2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (found.boxes_xyxy, scene.boxes_xyxy)]
    iou = inter / (areas[0][:, None] + areas[1][None] - inter)
    rows, columns = np.nonzero((iou > 0.5) & (iou == iou.max(1, keepdims=True)))
    assert len(rows) >= 0.5 * len(scene)
    drift = (found.boxes_xyxy[rows] - scene.boxes_xyxy[columns]).mean(0)
    assert (np.abs(drift) < 4).all(), drift


def test_score_threshold_0_on_a_crowded_image_is_bounded(model: Predictor) -> None:
    rows = [np.concatenate([synth.draw("blood", image_hw=(160, 200), index=4 * r + c).rgb for c in range(4)], 1)
            for r in range(4)]  # fmt: skip
    crowd = encoded(Image.fromarray(np.concatenate(rows)), "PNG")
    seconds = {}
    for threshold in (0.5, 0.0):
        started = time.thread_time()
        found = model(crowd, options=Options(score_threshold=threshold, iou_threshold=1.0))
        seconds[threshold] = time.thread_time() - started
    assert len(found) == MAX_DETECTIONS
    assert len(json.dumps(found.boxes_xyxy.tolist())) < 100_000
    assert seconds[0.0] < 3 * seconds[0.5] + 0.5, seconds
