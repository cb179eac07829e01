"""Bounds on detections: grown by the network's own float32 error, where they are broken, and by nothing else."""

import numpy as np
import pytest

from foveal.export.detection.match import Tolerance, judge
from foveal.export.detection.rounding import MAX_DIVERGENCE, doubted, grown, judge_again, own_error
from foveal.export.proof.rounding import ROUNDINGS
from tests.helpers.detection_rows import EVERY_CANDIDATE, OPTIONS, boxes_of, detections, only


def moved(rows: dict[str, np.ndarray], *, px: float = 0, score: float = 0, mask: float = 0) -> dict[str, np.ndarray]:
    """Row 7 elsewhere, by so much."""
    other = {name: value.copy() for name, value in rows.items()}
    other["boxes"][7] += np.float32(px)
    other["scores"][7] += np.float32(score)
    if "masks" in other:
        other["masks"][7] += np.float32(mask)
    return other


def test_own_error_is_that_of_the_worst_row() -> None:
    rows = detections()
    own = own_error(rows, moved(rows, px=0.004, score=8e-5, mask=3e-5))
    assert own.box_px == pytest.approx(0.004, rel=0.01)
    assert own.score == pytest.approx(8e-5, rel=0.01)
    assert own.mask == pytest.approx(3e-5, rel=0.01)


def test_bounds_grow_only_beyond_the_fixed_ones_and_not_beyond_the_most_that_counts() -> None:
    assert grown(Tolerance(box_px=1e-4, score=1e-6, mask=1e-6)) == Tolerance()
    assert grown(Tolerance(box_px=0.005, score=1e-6, mask=1e-4)) == Tolerance(
        box_px=0.005 * ROUNDINGS, mask=1e-4 * ROUNDINGS
    )
    most = Tolerance(**{name: ROUNDINGS * getattr(MAX_DIVERGENCE, name) for name in ("box_px", "score", "mask")})
    assert grown(Tolerance(box_px=9, score=1, mask=1)) == most


@pytest.mark.parametrize("options", [OPTIONS, EVERY_CANDIDATE], ids=["after NMS", "before NMS"])
@pytest.mark.parametrize("error", [{"px": 0.03}, {"score": 3e-4}])
def test_a_difference_passes_where_the_network_itself_diverges_and_nowhere_else(
    error: dict[str, float], options: object
) -> None:
    rows = detections()
    got = moved(rows, **error)
    divergent = moved(rows, **{name: value / 5 for name, value in error.items()})
    assert judge(rows, got, EVERY_CANDIDATE, Tolerance()).failures
    assert not judge_again(rows, got, divergent, options).verdict.failures
    assert judge_again(rows, got, rows, EVERY_CANDIDATE).verdict.failures  # a network that float32 does not disturb
    other = moved(rows, **({"score": 6e-5} if "px" in error else {"px": 0.006}))
    assert judge_again(rows, got, other, EVERY_CANDIDATE).verdict.failures  # an error of boxes excuses no score


@pytest.mark.parametrize("error", [{"px": 0.1}, {"score": 2.1e-3}])
def test_no_network_diverges_so_far_that_a_damaged_one_passes(error: dict[str, float]) -> None:
    rows = detections()
    divergent = moved(rows, px=0.07, score=1.9e-3)
    assert judge_again(rows, moved(rows, **error), divergent, EVERY_CANDIDATE).verdict.failures


def test_what_float32_and_float64_decide_differently_may_be_either_way() -> None:
    both, ours, theirs, neither = (0, 0, 30, 30, 0.9), (40, 0, 70, 30, 0.8), (80, 0, 110, 30, 0.7), (9, 60, 30, 90, 0.6)
    expected, exact = boxes_of(both, ours), boxes_of(both, theirs)
    for got in (boxes_of(both), boxes_of(both, ours), boxes_of(both, theirs), boxes_of(both, ours, theirs)):
        assert not judge_again(expected, got, exact, OPTIONS).verdict.failures
    missing = judge_again(expected, boxes_of(ours), exact, OPTIONS).verdict.failures
    assert [failure[:7] for failure in missing] == ["missing"]
    extra = judge_again(expected, boxes_of(both, neither), exact, OPTIONS).verdict.failures
    assert [failure[:5] for failure in extra] == ["extra"]


def test_what_either_answer_calls_undecided_stays_so() -> None:
    certain, hanging, beyond = (0, 0, 30, 30, 0.9), (40, 0, 70, 30, 0.8), (80, 0, 110, 30, 0.7)
    absent = (*beyond[:4], -0.7)
    plain = boxes_of(certain, hanging)
    unsure = boxes_of(certain, hanging, absent) | {"undecided": np.array([False, True, True])}
    for expected, exact in ((plain, unsure), (unsure, plain), (unsure, unsure)):
        rows = doubted(expected, exact, Tolerance())
        assert rows["undecided"].tolist()[0] is False
        assert rows["undecided"][1:].all()
        assert not judge_again(expected, boxes_of(certain, beyond), exact, OPTIONS).verdict.failures


def test_masks_have_a_bound_of_their_own() -> None:
    rows = only(detections(1), np.zeros(1, int))
    soft = np.full((1, 28, 28), 0.9, np.float32)
    above, below, divergent = soft.copy(), soft.copy(), soft.copy()
    above[0, 14:], below[0, 14:], divergent[0, 14:] = 0.5 + 3e-4, 0.5 - 3e-4, 0.5 + 2e-4
    expected, got = {**rows, "masks": above}, {**rows, "masks": below}
    assert judge_again(expected, got, expected, OPTIONS).verdict.failures
    assert not judge_again(expected, got, {**rows, "masks": divergent}, OPTIONS).verdict.failures
