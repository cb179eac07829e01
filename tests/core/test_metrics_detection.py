import json

import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco_mask

from foveal.metrics import coco, scoring
from foveal.metrics.boundary import boundary_iou
from foveal.metrics.detection import best_f1, score_detection, score_instances
from foveal.metrics.detection_errors import KINDS, count_error, error_table, judge
from foveal.metrics.resampled_detection import Curve, resampled_ap50, resampled_detection
from foveal.metrics.truth import ObjectTruth
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks

LABELS = ("cell", "dust")
HW = (100, 120)
Object = tuple[list[float], int]


def found(*rows: tuple[list[float], float, int], soft: npt.NDArray | None = None) -> Detections:
    rows = tuple(sorted(rows, key=lambda row: -row[1]))
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int64),
        LABELS,
        HW,
        None if soft is None else InstanceMasks(np.repeat(soft[None], len(rows), 0).astype(np.float32)),
    )


def true(*rows: Object, crowd: list[bool] | None = None, with_masks: bool = False) -> ObjectTruth:
    boxes = np.array([r[0] for r in rows], np.float32).reshape(-1, 4)
    return ObjectTruth(
        boxes,
        np.array([r[1] for r in rows], np.int64),
        HW,
        None if crowd is None else np.array(crowd, bool),
        tuple(map(filled, boxes)) if with_masks else None,
    )


def filled(box: npt.NDArray) -> dict[str, object]:
    bitmap = np.zeros(HW, np.uint8)
    x1, y1, x2, y2 = box.astype(int)
    bitmap[y1:y2, x1:x2] = 1
    rle = coco_mask.encode(np.asfortranarray(bitmap))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


A, B, C = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]
# Three objects on two images. By descending score: right (IoU 1), nothing there, right up to IoU 0.72; C is missed.
RESULTS = [found((A, 0.9, 0), ([80, 80, 90, 90], 0.8, 0), ([20, 20, 30, 27.2], 0.7, 0)), found()]
TRUTHS = [true((A, 0), (B, 0)), true((C, 0))]


def test_average_precision_by_hand() -> None:
    """Precision is 1 up to recall 1/3 (34 of the 101 recalls) and 2/3 up to recall 2/3 (33 of them)."""
    scores = score_detection(RESULTS, TRUTHS, LABELS)
    at_low_iou = (34 + 33 * 2 / 3) / 101
    at_high_iou = 34 / 101  # from IoU 0.75 on the loose box is wrong
    assert scores.values["AP50"] == pytest.approx(at_low_iou, abs=1e-12)
    assert scores.values["AP75"] == pytest.approx(at_high_iou, abs=1e-12)
    assert scores.values["AP"] == pytest.approx((at_low_iou + at_high_iou) / 2, abs=1e-12)
    assert scores.values["AR_100"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert scores.details["coco"]["AR_1"] == pytest.approx(1 / 3)
    assert scores.images == 2
    low, high = scores.intervals_95["AP50"]
    assert low <= scores.values["AP50"] <= high


def test_figures_without_any_object_are_left_out_and_all_is_json() -> None:
    scores = score_detection(RESULTS, TRUTHS, LABELS)
    assert "AP_large" not in scores.details["coco"]
    assert scores.details["coco"]["AP_small"] == scores.values["AP"]
    assert scores.per_class["cell"]["AP50"] == scores.values["AP50"]
    assert scores.per_class["dust"] == {"objects": 0}
    assert set(scores.details["pr_curves"]) == {"cell"}
    json.dumps([scores.values, scores.intervals_95, scores.per_class, scores.details], allow_nan=False)


def test_the_best_confidence_keeps_what_maximises_f1() -> None:
    best = score_detection(RESULTS, TRUTHS, LABELS).details["best_f1"]
    assert best["f1"] == pytest.approx(2 / 3)  # all three detections: 2 right, 1 wrong, 1 missed
    assert best["precision"] == best["recall"] == pytest.approx(2 / 3)
    assert best["score_threshold"] == pytest.approx(0.35)  # between 0.7 and nothing
    fewer = [found((A, 0.9, 0), ([80, 80, 90, 90], 0.8, 0)), found((C, 0.85, 0))]
    best = score_detection(fewer, TRUTHS, LABELS).details["best_f1"]
    assert best["score_threshold"] == pytest.approx(0.825)
    assert (best["precision"], best["recall"]) == (1, pytest.approx(2 / 3))


def test_errors_and_counts_are_those_at_the_threshold_in_use() -> None:
    usual, strict = (score_detection(RESULTS, TRUTHS, LABELS, score_threshold=at).details for at in (0.35, 0.75))
    assert usual["at_threshold"] == pytest.approx(usual["best_f1"])
    assert strict["at_threshold"] == {"score_threshold": 0.75, "precision": 0.5, "recall": 1 / 3, "f1": 0.4}
    assert strict["count"] == count_error(RESULTS, TRUTHS, 0.75)
    assert (usual["errors"]["all"]["missed"], strict["errors"]["all"]["missed"]) == (1, 2)
    nothing = score_detection(RESULTS, TRUTHS, LABELS, score_threshold=1.0).details["at_threshold"]
    assert (nothing["precision"], nothing["recall"], nothing["f1"]) == (0, 0, 0)


def test_equal_scores_are_never_parted_by_the_threshold() -> None:
    results = [found((A, 0.6, 0), ([80, 80, 90, 90], 0.6, 0)), found()]
    best = score_detection(results, TRUTHS, LABELS).details["best_f1"]
    assert best["f1"] == pytest.approx(2 / (2 + 3))


@pytest.mark.parametrize("results", [[found(), found()], RESULTS])
def test_nothing_found_or_nothing_there_is_a_figure_and_no_crash(results: list[Detections]) -> None:
    nothing_there = score_detection(results, [true(), true()], LABELS)
    assert "AP50" not in nothing_there.values
    assert nothing_there.values["best_f1"] == 0
    assert "relative" not in nothing_there.details["count"]
    nothing_found = score_detection([found(), found()], TRUTHS, LABELS)
    assert nothing_found.values["AP50"] == 0
    assert nothing_found.details["errors"]["all"]["missed"] == 3


def random_pairs(seed: int, images: int = 12) -> tuple[list[Detections], list[ObjectTruth]]:
    rng = np.random.default_rng(seed)
    results, truths = [], []
    for _ in range(images):
        corner = rng.uniform(0, 80, (rng.integers(0, 9), 2))
        objects = [([*xy, *(xy + rng.uniform(5, 35, 2))], int(rng.integers(2))) for xy in corner]
        crowd = [bool(rng.random() < 0.15) for _ in objects]
        truths.append(true(*objects, crowd=crowd))
        near = [(np.array(box) + rng.normal(0, 2, 4), float(rng.random()), c) for box, c in objects for _ in range(2)]
        divergent = [
            ([x, y, x + 20, y + 20], float(rng.random()), int(rng.integers(2))) for x, y in rng.uniform(0, 80, (4, 2))
        ]
        results.append(
            found(*((np.sort(np.reshape(b, (2, 2)), axis=0).ravel().tolist(), s, c) for b, s, c in near + divergent))
        )
    return results, truths


@pytest.mark.parametrize("seed", range(5))
def test_the_bootstraps_ap50_is_pycocotools_on_the_images_themselves(seed: int) -> None:
    results, truths = random_pairs(seed)
    run = coco.evaluate(coco.truth_dataset(truths, LABELS, "bbox"), coco.result_rows(results, "bbox"), "bbox")
    matches = [coco.class_matches(run, k) for k in range(2)]
    found = resampled_detection(results, truths, LABELS).figures(np.arange(len(results)))
    expected = coco.figures(run)
    for name in ("AP50", "AP", "AP75", "AR_100"):
        assert found["", name] == pytest.approx(expected[name], abs=1e-12), name
    for size in ("small", "medium", "large"):
        assert (("size", size) in found) == (f"AP_{size}" in expected)
    at_50 = [Curve.of([m], slice(1)) for m in matches]
    assert resampled_ap50(at_50, np.arange(len(results))) == found["", "AP50"]
    assert found["", "best_f1"] == pytest.approx(best_f1(matches)[0].f1, abs=1e-12)
    assert sum(m.ignored.any() for m in matches), "the draw should hold a detection on a crowd"


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_with_repeats_is_pycocotools_on_the_repeated_images(seed: int) -> None:
    results, truths = random_pairs(seed)
    images = np.random.default_rng(seed).integers(0, len(results), len(results))
    again, wanted = [results[i] for i in images], [truths[i] for i in images]
    run = coco.evaluate(coco.truth_dataset(wanted, LABELS, "bbox"), coco.result_rows(again, "bbox"), "bbox")
    found = resampled_detection(results, truths, LABELS).figures(images)
    for name in ("AP50", "AP", "AP75", "AR_100"):
        assert found["", name] == pytest.approx(coco.figures(run)[name], abs=1e-12), name


@pytest.mark.parametrize("seed", range(5))
def test_error_kinds_agree_with_pycocotools_on_what_is_right(seed: int) -> None:
    """Every detection has one kind, or lies on a crowd; precision and recall at the threshold are those of best_f1."""
    results, truths = random_pairs(seed)
    run = coco.evaluate(coco.truth_dataset(truths, LABELS, "bbox"), coco.result_rows(results, "bbox"), "bbox")
    best, _ = best_f1([coco.class_matches(run, k) for k in range(2)])
    judged = [judge(r, t, best.score_threshold, "bbox") for r, t in zip(results, truths, strict=True)]
    table = error_table(judged, results, truths, LABELS)
    wrong = sum(table["all"][k] for k in KINDS if k not in ("correct", "missed"))
    assert table["all"]["correct"] / (table["all"]["correct"] + wrong) == pytest.approx(best.precision)
    assert table["all"] == {k: table["cell"][k] + table["dust"][k] for k in KINDS}


def test_each_kind_of_error() -> None:
    truth = true((A, 0), (B, 0), (C, 1), ([80, 10, 90, 20], 0))
    result = found(
        (A, 0.9, 0),
        ([0, 0, 10, 9], 0.8, 0),  # A again
        ([20, 20, 30, 23], 0.7, 0),  # IoU 0.3 with B
        (C, 0.6, 0),  # wrong class
        ([0, 80, 10, 90], 0.5, 0),  # nothing there
        ([50, 50, 60, 53], 0.4, 0),  # loose and wrong class
        ([80, 10, 90, 20], 0.1, 0),  # below the confidence: its object is missed
    )
    judged = judge(result, truth, 0.2, "bbox")
    kinds = ["correct", "duplicate", "localisation", "classification", "background", "both"]
    assert [judged.kinds[i] for i in range(6)] == kinds
    assert judged.pairs == ((0, 0),)
    assert judged.missed == (3,)  # B and C were nearly found
    table = error_table([judged], [result], [truth], LABELS)
    assert table["all"] == dict.fromkeys(KINDS, 1)
    assert table["dust"] == dict.fromkeys(KINDS, 0)


def test_detections_on_a_crowd_count_neither_way() -> None:
    truth = true((A, 0), ([40, 40, 100, 100], 0), crowd=[False, True])
    result = found((A, 0.9, 0), (C, 0.8, 0), ([70, 70, 80, 80], 0.7, 0))
    scores = score_detection([result], [truth], LABELS)
    assert scores.values["AP50"] == pytest.approx(1)
    assert scores.details["errors"]["all"] == dict.fromkeys(KINDS, 0) | {"correct": 1}


def test_count_error_by_hand() -> None:
    assert count_error(RESULTS, TRUTHS, 0.35) == {
        "mean_absolute": 1,
        "mean_signed": 0,
        "relative": pytest.approx(2 / 3),
    }
    assert count_error(RESULTS, TRUTHS, 0.75)["mean_signed"] == -0.5


def test_masks_are_scored_as_masks() -> None:
    """Full masks in the boxes score as the boxes do; a mask of the left half of a right box has IoU 0.5 and less."""
    truths = [true(([10, 10, 50, 50], 0), with_masks=True)]
    full, half = np.ones((28, 28)), np.tile(np.arange(28) < 13, (28, 1))
    whole = found(([10, 10, 50, 50], 0.9, 0), soft=full)
    good = score_instances([whole], truths, LABELS)
    assert good.values["AP50"] == good.values["box_AP50"] == pytest.approx(1)
    rims = boundary_iou(whole.bitmap(0).full(), coco_mask.decode(truths[0].masks[0]))
    assert good.details["boundary_iou"] == rims > 0.5
    poor = score_instances([found(([10, 10, 50, 50], 0.9, 0), soft=half)], truths, LABELS)
    assert (poor.values["AP50"], poor.values["box_AP50"]) == (0, pytest.approx(1))
    assert poor.details["boundary_iou"] is None
    assert poor.details["errors"]["all"]["localisation"] == 1


def test_boundary_iou_by_hand() -> None:
    """Two 10 x 10 squares, one pixel apart: rims of 36 px share 9 in the first and 9 in the last row."""
    first, second = np.zeros((2, 30, 30), np.uint8)
    first[5:15, 5:15] = 1
    second[5:15, 6:16] = 1
    assert boundary_iou(first, first, rim_px=1) == 1
    assert boundary_iou(first, second, rim_px=1) == pytest.approx(18 / 54)
    assert boundary_iou(first, second, rim_px=20) == pytest.approx(90 / 110)  # rims wider than the object: mask IoU
    assert boundary_iou(first * 0, first * 0) == 1
    assert boundary_iou(first, first * 0) == 0


def test_truth_checks_its_lengths() -> None:
    with pytest.raises(ValueError, match="iscrowd: expected 1, one a box, got 2"):
        true((A, 0), crowd=[True, False])
    assert true((A, 0)).areas().tolist() == [100]
    assert true(([0, 0, 10.6, 10], 0), with_masks=True).areas().tolist() == [100]


@pytest.mark.parametrize(
    ("task", "scorer"), [("object-detection", score_detection), ("instance-segmentation", score_instances)]
)
def test_both_tasks_are_registered(task: str, scorer: object) -> None:
    assert scoring(task).score is scorer
