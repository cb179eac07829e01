"""The written-out anchors against torchvision's own parts."""

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou as torch_iou
from torchvision.ops import nms as torch_nms

from foveal.imaging.boxes import box_iou, nms
from foveal.models.detection import anchors

ONE_CLASS = np.zeros(200, np.int64)


def random_boxes(seed: int, count: int, side: float = 100.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, side, (count, 2))
    return np.concatenate((corner, corner + rng.uniform(1, side / 2, (count, 2))), 1).astype(np.float32)


def test_grid_has_torchvisions_anchors_in_its_order() -> None:
    sizes, ratios = (32.0, 45.0), (0.5, 1.0, 2.0)
    generator = AnchorGenerator((sizes,), (ratios,))
    model_input = torch.zeros(1, 3, 64, 96)
    expected = generator(ImageList(model_input, [(64, 96)]), [torch.zeros(1, 8, 4, 6)])[0].numpy()
    got = anchors.grid_anchors(anchors.cell_anchors(sizes, ratios), (4, 6), 16)
    assert np.abs(got - expected).max() <= 0.5  # torchvision rounds the cell's corners to whole pixels
    rounded = anchors.grid_anchors(np.round(anchors.cell_anchors(sizes, ratios)), (4, 6), 16)
    np.testing.assert_array_equal(rounded, expected)


@pytest.mark.parametrize(("sizes", "ratios"), [([0.3, 0.6], [1, 2, 0.5]), ([10.0], [1.0]), ([5, 6, 7, 8], [2.0, 1.0])])
def test_sparse_cell_has_n_plus_m_minus_1_of_the_combinations(sizes: list[float], ratios: list[float]) -> None:
    full = {tuple(row) for row in anchors.cell_anchors(sizes, ratios).round(9).tolist()}
    sparse = anchors.cell_anchors_sparse(sizes, ratios).round(9)
    assert len(sparse) == len(sizes) + len(ratios) - 1
    assert {tuple(row) for row in sparse.tolist()} <= full
    area = (sparse[:, 2] - sparse[:, 0]) * (sparse[:, 3] - sparse[:, 1])
    np.testing.assert_allclose(np.sort(np.unique(area.round(6))), np.sort(np.square(sizes)), rtol=1e-5)


def test_iou_is_torchvisions() -> None:
    a, b = random_boxes(0, 20), random_boxes(1, 30)
    np.testing.assert_allclose(box_iou(a, b), torch_iou(torch.tensor(a), torch.tensor(b)).numpy(), atol=1e-6)
    point = np.zeros((1, 4))
    assert box_iou(point, point) == 0.0


@pytest.mark.parametrize("every_object", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_assignment_is_torchvisions(seed: int, every_object: bool) -> None:
    overlaps = box_iou(random_boxes(seed, 7), random_boxes(seed + 100, 200))
    overlaps = overlaps.round(1)  # ties
    expected = Matcher(0.5, 0.3, allow_low_quality_matches=every_object)(torch.tensor(overlaps)).numpy()
    got = anchors.assign(overlaps, positive=0.5, negative=0.3, every_object=every_object)
    np.testing.assert_array_equal(got, expected)
    assert every_object or {anchors.BACKGROUND, anchors.BETWEEN} <= set(got.tolist())


def test_every_object_gets_an_anchor_only_when_asked() -> None:
    far = np.array([[0.2, 0.1, 0.0], [0.9, 0.0, 0.0]])
    assert anchors.assign(far, positive=0.5, negative=0.3, every_object=False).tolist() == [1, -1, -1]
    alone = np.array([[0.0, 0.1, 0.2]])
    assert anchors.assign(alone, positive=0.5, negative=0.3, every_object=True).tolist() == [-1, -1, 0]
    assert anchors.assign(np.zeros((0, 2)), positive=0.5, negative=0.3, every_object=True).tolist() == [-1, -1]


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_offsets_are_torchvisions_and_come_back(weights: tuple[float, float, float, float]) -> None:
    boxes, references = random_boxes(2, 50), random_boxes(3, 50)
    coder = BoxCoder(weights)
    expected = coder.encode_single(torch.tensor(boxes), torch.tensor(references)).numpy()
    offsets = anchors.encode(boxes, references, weights)
    np.testing.assert_allclose(offsets, expected, atol=1e-4)
    np.testing.assert_allclose(anchors.decode(offsets, references, weights), boxes, atol=1e-3)
    wild = np.random.default_rng(4).normal(0, 20, (50, 4)).astype(np.float32)  # beyond the limit on growth
    decoded = coder.decode_single(torch.tensor(wild), torch.tensor(references)).numpy()
    np.testing.assert_allclose(anchors.decode(wild, references, weights), decoded, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_nms_keeps_torchvisions_boxes_in_its_order(seed: int) -> None:
    boxes = random_boxes(seed, 200)
    scores = np.random.default_rng(seed).permutation(200).astype(np.float32)
    expected = torch_nms(torch.tensor(boxes), torch.tensor(scores), 0.4).tolist()
    assert nms(boxes, scores, ONE_CLASS, 0.4).tolist() == expected
    assert nms(boxes[:0], scores[:0], ONE_CLASS[:0], 0.4).tolist() == []
