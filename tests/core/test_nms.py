import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.imaging.boxes import nms


def boxes(rng: np.random.Generator, count: int, classes: int, spread: float) -> tuple[npt.NDArray, ...]:
    corner = rng.uniform(0, spread, (count, 2))
    edges = np.hstack([corner, corner + rng.uniform(5, 80, (count, 2))]).astype(np.float32)
    return edges, rng.random(count, np.float32), rng.integers(0, classes, count)


def torchvisions(edges: npt.NDArray, scores: npt.NDArray, class_ids: npt.NDArray, threshold: float) -> set[int]:
    kept = torchvision.ops.batched_nms(*map(torch.from_numpy, (edges, scores, class_ids)), threshold)
    return set(kept.tolist())


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.55, 1.0])
@pytest.mark.parametrize(("count", "classes"), [(0, 1), (1, 1), (200, 1), (200, 5), (999, 20), (2500, 2)])
def test_same_sets_as_torchvision(count: int, classes: int, threshold: float) -> None:
    edges, scores, class_ids = boxes(np.random.default_rng(count + classes), count, classes, 300)
    kept = nms(edges, scores, class_ids, threshold)
    assert set(kept.tolist()) == torchvisions(edges, scores, class_ids, threshold)
    assert (np.diff(scores[kept]) <= 0).all()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 7)] * 4, st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=150),
    st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.6, 1.0]),
)
def test_same_sets_with_ties_in_score_and_iou_on_the_threshold(rows: list[tuple[int, ...]], threshold: float) -> None:
    """Whole coordinates: torchvision's class offsets stay exact, many scores are equal, many IoUs hit the threshold."""
    table = np.array(rows)
    edges = np.hstack([table[:, :2], table[:, :2] + table[:, 2:4]]).astype(np.float32)  # some without area
    scores, class_ids = (table[:, 4] / 4).astype(np.float32), table[:, 5].astype(np.int64)
    assert set(nms(edges, scores, class_ids, threshold).tolist()) == torchvisions(edges, scores, class_ids, threshold)


def test_limit_gives_the_first_of_the_whole() -> None:
    edges, scores, class_ids = boxes(np.random.default_rng(3), 1500, 4, 400)
    whole = nms(edges, scores, class_ids, 0.4)
    assert len(whole) > 300
    for limit in (1, 63, 64, 65, 300):
        assert nms(edges, scores, class_ids, 0.4, limit=limit).tolist() == whole[:limit].tolist()


def test_equal_scores_keep_the_order_in_which_they_came() -> None:
    edges = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [0, 0, 9, 9]], np.float32)
    assert nms(edges, np.full(3, 0.5, np.float32), np.zeros(3, np.int64), 0.5).tolist() == [0, 1]
