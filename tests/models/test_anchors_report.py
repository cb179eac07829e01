"""Anchors against a data set's boxes."""

from pathlib import Path

import cv2
import numpy as np

from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import Sample
from foveal.models.detection.anchor_fit import as_text, draw_anchors, fit, input_sides, shape_iou, tuned
from foveal.models.detection.layouts.truth import objects

PREPROCESS = Preprocess(mode="letterbox", input_hw=(64, 64))


def sample(folder: Path) -> Sample:
    path = folder / "a.png"
    cv2.imwrite(str(path), np.full((128, 64, 3), 128, np.uint8))
    truth = objects([[0, 0, 20, 40], [10, 10, 50, 50], [0, 0, 9, 9]], [0, 0, 0], (128, 64), iscrowd=[0, 0, 1])
    return Sample("a.png", path, truth)


def test_sides_are_those_after_the_models_resize_without_crowds(tmp_path: Path) -> None:
    np.testing.assert_allclose(input_sides([sample(tmp_path)], PREPROCESS), [[10, 20], [20, 20]])


def test_recall_counts_boxes_whose_best_anchor_fits() -> None:
    sides = np.array([[10.0, 10], [20, 20], [100, 10]])
    np.testing.assert_allclose(shape_iou(sides, np.array([[20.0, 20]]))[:, 0], [0.25, 1.0, 200 / (1000 + 400 - 200)])
    found = fit(sides, np.array([[10.0, 10], [20, 20]]))
    assert found.recall == 2 / 3
    assert found.by_ratio == {"0 to 0.5": (1, 0.0), "0.8 to 1.25": (2, 1.0)}
    assert found.by_size == {"0 to 16": (1, 1.0), "16 to 32": (2, 0.5)}  # sqrt(100 * 10) = 31.6
    assert "recall 0.667" in as_text(found)


def test_tuned_anchors_find_the_clusters_and_are_reproducible() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[10.0, 10], [30, 60], [100, 50]])
    sides = np.concatenate([c * rng.normal(1, 0.05, (50, 2)) for c in centres])
    found = tuned(sides, 3, seed=1)
    np.testing.assert_allclose(found, centres, rtol=0.05)
    np.testing.assert_array_equal(found, tuned(sides, 3, seed=1))
    assert fit(sides, found).recall == 1.0
    assert fit(sides, found).mean_iou > fit(sides, np.array([[32.0, 32], [64, 64], [16, 16]])).mean_iou


def test_image_shows_objects_and_anchors(tmp_path: Path) -> None:
    drawn = draw_anchors(sample(tmp_path), PREPROCESS, np.array([[16.0, 16], [10, 20]]))
    assert drawn.shape == (64, 64, 3)
    assert (drawn == (0, 200, 0)).all(-1).any()
    assert (drawn == (220, 0, 0)).all(-1).any()
