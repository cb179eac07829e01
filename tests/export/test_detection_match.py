"""The matcher must find every planted error, and excuse nothing but what hangs on a digit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou as torchvision_iou

from foveal.export.detection.match import Tolerance, box_iou, judge, match
from foveal.options import MAX_DETECTIONS, Options
from tests.helpers.detection_rows import EVERY_CANDIDATE, OPTIONS, boxes_of, detections, only

TOLERANCE = Tolerance()


def test_equal_sets_match_in_any_order() -> None:
    rows = detections()
    verdict = judge(rows, only(rows, np.random.default_rng(1).permutation(40)), OPTIONS, TOLERANCE)
    assert (verdict.matched, verdict.explained, verdict.failures) == (40, 0, ())
    assert (verdict.box_px, verdict.score, verdict.mask_iou) == (0, 0, 1)


def test_noise_within_the_tolerance_matches_and_is_measured() -> None:
    rows = detections()
    noisy = {**rows, "boxes": rows["boxes"] + np.float32(0.015), "scores": rows["scores"] - np.float32(5e-5)}
    verdict = judge(rows, noisy, EVERY_CANDIDATE, TOLERANCE)
    assert verdict.matched == 40
    assert not verdict.failures
    assert verdict.box_px == pytest.approx(0.015, abs=1e-4)
    assert verdict.score == pytest.approx(5e-5, abs=1e-6)


def shift(rows: dict[str, np.ndarray]) -> None:
    rows["boxes"][7] += 0.03


def stretch(rows: dict[str, np.ndarray]) -> None:
    rows["boxes"][7, 3] += 0.03


def swap_class(rows: dict[str, np.ndarray]) -> None:
    rows["class_ids"][7] = 1 - rows["class_ids"][7]


def rescore(rows: dict[str, np.ndarray]) -> None:
    rows["scores"][7] += 2e-4


def not_a_number(rows: dict[str, np.ndarray]) -> None:
    rows["boxes"][7, 0] = np.nan


@pytest.mark.parametrize("error", [shift, stretch, swap_class, rescore, not_a_number])
@pytest.mark.parametrize("options", [OPTIONS, EVERY_CANDIDATE], ids=["after NMS", "before NMS"])
def test_planted_error_is_one_missing_and_one_extra(
    error: Callable[[dict[str, np.ndarray]], None], options: Options
) -> None:
    rows = detections()
    wrong = {name: value.copy() for name, value in rows.items()}
    error(wrong)
    if options is OPTIONS and error in (shift, stretch):
        wrong["scores"][7] += 2e-4  # with equal scores it would pass for a rival; the proof before NMS has no rivals
    verdict = judge(rows, wrong, options, TOLERANCE)
    assert verdict.matched == 39
    assert [failure.split(":")[0] for failure in verdict.failures] == ["missing", "extra"]


def test_planted_missing_and_planted_extra_are_named() -> None:
    rows = detections()
    one_less = only(rows, np.arange(40) != 11)
    missing = judge(rows, one_less, OPTIONS, TOLERANCE).failures
    assert len(missing) == 1
    assert f"{rows['scores'][11]:.6f}" in missing[0]
    assert [f.split(":")[0] for f in judge(one_less, rows, OPTIONS, TOLERANCE).failures] == ["extra"]


def test_duplicate_does_not_find_a_second_partner() -> None:
    rows = detections()
    twice = only(rows, np.append(np.arange(40), 3))
    assert len(match(rows, twice, TOLERANCE).extra) == 1


def test_planted_mask_error_is_caught() -> None:
    rows = detections()
    wrong = {**rows, "masks": rows["masks"].copy()}
    wrong["masks"][5, 10:13] = 0
    assert "expected IoU" in judge(rows, wrong, OPTIONS, TOLERANCE).failures[0]


def test_no_detections_at_all() -> None:
    nothing = only(detections(), np.zeros(40, bool))
    verdict = judge(nothing, nothing, OPTIONS, TOLERANCE)
    assert (verdict.detections, verdict.matched, verdict.failures) == (0, 0, ())
    assert len(judge(detections(3), only(detections(3), np.zeros(3, bool)), OPTIONS, TOLERANCE).failures) == 3


def test_score_at_the_threshold_may_be_missing_and_is_counted() -> None:
    at, above = (boxes_of((0, 0, 9, 9, 0.9), (50, 0, 70, 9, score)) for score in (0.05005, 0.0502))
    certain = boxes_of((0, 0, 9, 9, 0.9))
    assert judge(at, certain, OPTIONS, TOLERANCE).explained == 1
    assert judge(above, certain, OPTIONS, TOLERANCE).failures


def test_score_at_the_cut_may_be_missing_only_where_there_was_a_cut() -> None:
    full, short = detections(MAX_DETECTIONS, masks=False), detections(MAX_DETECTIONS - 1, masks=False)
    for rows, explained in ((full, 1), (short, 0)):
        without_last = only(rows, np.arange(len(rows["scores"])) != rows["scores"].argmin())
        assert judge(rows, without_last, OPTIONS, TOLERANCE).explained == explained


def test_overlap_at_the_nms_threshold_may_be_missing() -> None:
    better = (0, 0, 30, 30, 0.9)
    half = boxes_of(better, (10, 0, 40, 30, 0.8))  # 20 of 40 columns: IoU exactly 0.5
    less = boxes_of(better, (10.1, 0, 40, 30, 0.8))
    alone = boxes_of(better)
    assert judge(half, alone, OPTIONS, TOLERANCE).explained == 1
    assert judge(less, alone, OPTIONS, TOLERANCE).failures


def test_overlap_at_the_nms_threshold_does_not_excuse_the_better_box() -> None:
    both = boxes_of((0, 0, 30, 30, 0.9), (10, 0, 40, 30, 0.8))
    assert judge(both, boxes_of((10, 0, 40, 30, 0.8)), OPTIONS, TOLERANCE).failures


def test_equal_rivals_may_swap_and_take_their_consequences() -> None:
    left, right, third = (0, 0, 30, 30), (5, 0, 35, 30), (12, 0, 42, 30)  # third overlaps only right by more than half
    ours = boxes_of((*left, 0.90000), (*third, 0.7))
    theirs = boxes_of((*right, 0.90005))
    verdict = judge(ours, theirs, OPTIONS, TOLERANCE)
    assert (verdict.matched, verdict.explained, verdict.failures) == (0, 3, ())
    unequal = boxes_of((*right, 0.9002))
    assert len(judge(ours, unequal, OPTIONS, TOLERANCE).failures) == 3


def test_undecided_rows_may_be_missing_and_foreseen_ones_extra() -> None:
    certain, hanging, beyond = (0, 0, 30, 30, 0.9), (40, 0, 70, 30, 0.8), (80, 0, 110, 30, 0.7)
    ours = boxes_of(certain, hanging, (*beyond[:4], -0.7)) | {"undecided": np.array([False, True, True])}
    verdict = judge(ours, boxes_of(certain, beyond), OPTIONS, TOLERANCE)
    assert (verdict.detections, verdict.matched, verdict.explained, verdict.failures) == (2, 1, 2, ())
    assert judge(ours, boxes_of(certain, hanging), OPTIONS, TOLERANCE).explained == 0
    assert [f[:7] for f in judge(ours, boxes_of(hanging), OPTIONS, TOLERANCE).failures] == ["missing"]
    elsewhere = boxes_of(certain, (120, 0, 150, 30, 0.7))
    assert [f[:5] for f in judge(ours, elsewhere, OPTIONS, TOLERANCE).failures] == ["extra"]


@pytest.mark.parametrize(("off", "excused"), [(5e-5, True), (5e-4, False)])
def test_mask_pixels_at_the_cut_are_excused_only_within_the_tolerance(off: float, excused: bool) -> None:
    rows = boxes_of((2, 2, 30, 30, 0.9))
    soft = np.full((1, 28, 28), 0.9, np.float32)
    above, below = soft.copy(), soft.copy()
    above[0, 14:], below[0, 14:] = 0.5 + off, 0.5 - off
    verdict = judge({**rows, "masks": above}, {**rows, "masks": below}, OPTIONS, TOLERANCE)
    assert (verdict.mask_iou == 1) is excused
    assert bool(verdict.failures) is not excused


def test_iou_is_torchvisions() -> None:
    a, b = detections(30)["boxes"], detections(20, seed=1)["boxes"]
    expected = torchvision_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(box_iou(a, b), expected, atol=1e-6)
    assert box_iou(a[:1] * 0, a[:1] * 0) == 0
