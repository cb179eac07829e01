import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from foveal.errors import BadPackage
from foveal.formats import Entry, entry_object
from foveal.imaging.decode import Decoded
from foveal.imaging.preprocess import ImageTransform
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance
from foveal.tasks import TASKS, Prepared
from foveal.tasks.object_detection import MAX_CANDIDATES, graph_family
from tests.helpers.detectors import SCORES, detector_manifest, one_stage_graph, pipeline, scene, two_stage_graph
from tests.helpers.images import stored_turned as photo

INPUT_HW = (64, 64)
FAMILIES = {"one-stage": one_stage_graph(INPUT_HW), "two-stage": two_stage_graph(INPUT_HW)}
TASK = TASKS["object-detection"]
RECTANGLES = {"red": (5, 7, 30, 20), "green": (40, 2, 61, 33), "blue": (10, 36, 22, 55)}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def transform_of(image_hw: tuple[int, int] = INPUT_HW) -> ImageTransform:
    return ImageTransform(image_hw, INPUT_HW, INPUT_HW, (INPUT_HW[1] / image_hw[1], INPUT_HW[0] / image_hw[0]))


def raw(rows: list[tuple[list[float], float, int]]) -> dict[str, Any]:
    boxes, scores, class_ids = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "scores": np.array(scores, np.float32),
        "class_ids": np.array(class_ids, np.int64),
    }


def decode(
    outputs: dict[str, Any], family: str = "one-stage", transform: ImageTransform | None = None, **options: Any
) -> Any:
    spec = detector_manifest(FAMILIES[family], input_hw=INPUT_HW).pipeline
    return TASK.decode(outputs, transform or transform_of(), spec, Options(**options).resolved(spec.defaults))


def test_the_family_is_told_by_input_names_and_nothing_else() -> None:
    for name, model in FAMILIES.items():
        manifest = detector_manifest(model, input_hw=INPUT_HW)
        assert graph_family(manifest.pipeline) == name
        with pytest.raises(BadPackage, match=r"expected graph inputs .* got \['content_hw'"):
            graph_family(manifest.pipeline.model_copy(update={"inputs": manifest.pipeline.inputs[1:]}))


def test_known_rectangles_come_back_with_class_and_score(family: str) -> None:
    result = pipeline(FAMILIES[family], input_hw=INPUT_HW)(scene(INPUT_HW, RECTANGLES))
    assert [result.labels[i] for i in result.class_ids] == ["red", "green", "blue"]
    assert result.boxes_xyxy.tolist() == [list(map(float, box)) for box in RECTANGLES.values()]
    assert result.scores.tolist() == np.float32(SCORES).tolist()
    assert result.masks is None


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("image_hw", [(64, 64), (63, 37), (101, 203), (480, 640), (640, 40), (33, 900), (5, 7)])
def test_boxes_land_in_original_pixels_at_any_size(family: str, image_hw: tuple[int, int], mode: str) -> None:
    height, width = image_hw
    box = (width // 4, height // 4, max(width * 3 // 4, width // 4 + 1), max(height * 7 // 8, height // 4 + 1))
    result = pipeline(FAMILIES[family], input_hw=INPUT_HW, mode=mode)(scene(image_hw, {"green": box}))
    _, transform = detector_manifest(FAMILIES[family], input_hw=INPUT_HW, mode=mode).preprocess.apply(
        Decoded.of_array(np.zeros((*image_hw, 3), np.uint8))
    )
    pixel = np.array(
        [1 / transform.scale_xy[0], 1 / transform.scale_xy[1]] * 2
    )  # one model-input pixel, in original ones
    assert len(result) == 1
    assert (np.abs(result.boxes_xyxy[0] - np.array(box)) <= np.maximum(pixel, 0.51)).all(), result.boxes_xyxy


@pytest.mark.parametrize("container", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_follow_exif_orientation(family: str, orientation: int, container: str) -> None:
    upright = scene((48, 64), RECTANGLES | {"blue": (10, 36, 22, 47)})
    result = pipeline(FAMILIES[family], input_hw=INPUT_HW)(photo(upright, orientation, container))
    assert result.image_hw == (48, 64)
    assert result.boxes_xyxy.tolist() == [[5, 7, 30, 20], [40, 2, 61, 33], [10, 36, 22, 47]]


def test_a_batch_gives_what_single_calls_give_with_thresholds_of_their_own(family: str) -> None:
    images = [scene(INPUT_HW, RECTANGLES), scene((40, 64), {}), scene(INPUT_HW, {"blue": (1, 1, 9, 9)})]
    runner = pipeline(FAMILIES[family], input_hw=INPUT_HW)
    prepared = [runner.prepare(image) for image in images]
    options = [Options(score_threshold=t).resolved(runner.spec.defaults) for t in (0.75, 0.1, 0.5)]
    together = [
        runner.finish(o, p, c) for o, p, c in zip(runner.infer(prepared, options), prepared, options, strict=True)
    ]
    assert [len(result) for result in together] == [2, 0, 1]
    for image, option, result in zip(images, options, together, strict=True):
        alone = runner(image, options=option)
        assert alone.boxes_xyxy.tobytes() == result.boxes_xyxy.tobytes()
        assert alone.scores.tobytes() == result.scores.tobytes()


def test_two_stage_graph_reads_each_images_threshold() -> None:
    runner = pipeline(FAMILIES["two-stage"], input_hw=INPUT_HW)
    prepared = [runner.prepare(scene(INPUT_HW, RECTANGLES))] * 2
    options = [Options(score_threshold=t).resolved(runner.spec.defaults) for t in (0.85, 0.0)]
    assert [len(o["scores"]) for o in runner.infer(prepared, options)] == [1, 3]
    assert TASK.batch_key(Options(iou_threshold=0.4)) != TASK.batch_key(Options(iou_threshold=0.5))


def test_threshold_is_strict_so_padding_of_score_0_never_shows() -> None:
    outputs = raw([([0, 0, 9, 9], 0.5, 0), ([20, 0, 29, 9], 0.0, 1)])
    assert len(decode(outputs, score_threshold=0.5)) == 0
    assert len(decode(outputs, score_threshold=0.0)) == 1


def test_nms_runs_within_a_class_and_only_for_one_stage_graphs() -> None:
    outputs = raw([([0, 0, 10, 10], 0.9, 0), ([0, 0, 10, 9], 0.8, 0), ([0, 0, 10, 9], 0.7, 1)])
    assert decode(outputs, iou_threshold=0.5).scores.tolist() == np.float32([0.9, 0.7]).tolist()
    assert len(decode(outputs, iou_threshold=0.95)) == 3
    assert len(decode(outputs, "two-stage", iou_threshold=0.5)) == 3


def test_order_is_score_then_class_then_box_whatever_the_graphs_order() -> None:
    rows = [([30, 0, 39, 9], 0.9, 1), ([0, 0, 9, 9], 0.9, 1), ([50, 0, 59, 9], 0.9, 0), ([0, 20, 9, 29], 0.95, 2)]
    first = decode(raw(rows))
    assert first.class_ids.tolist() == [2, 0, 1, 1]
    assert first.boxes_xyxy[2:, 0].tolist() == [0, 30]
    again = decode(raw(rows[::-1]))
    assert first.boxes_xyxy.tolist() == again.boxes_xyxy.tolist()


def test_classes_and_max_detections_cut_afterwards() -> None:
    rows = [([0, 0, 9, 9], 0.9, 0), ([0, 20, 9, 29], 0.8, 1), ([20, 0, 29, 9], 0.7, 1), ([20, 20, 29, 29], 0.6, 2)]
    kept = decode(raw(rows), classes=("green", "blue"), max_detections=2)
    assert kept.scores.tolist() == np.float32([0.8, 0.7]).tolist()


def test_boxes_are_clipped_and_those_without_area_are_dropped() -> None:
    rows = [
        ([-5, -5, 10, 10], 0.9, 0),
        ([64, 0, 70, 9], 0.8, 0),
        ([3, 3, 3.004, 9], 0.7, 0),
        ([60, 60, 99, 99], 0.6, 1),
    ]
    found = decode(raw(rows), transform=transform_of((128, 128)))
    assert found.boxes_xyxy.tolist() == [[0, 0, 20, 20], [120, 120, 128, 128]]
    nothing = decode(raw([([float("nan")] * 4, 0.9, 0), ([0, 0, 1, 1], float("nan"), 0)]))
    assert len(nothing) == 0


def test_render_rounds_and_csv_is_flat() -> None:
    result = decode(raw([([1 / 3, 2 / 3, 10, 20], 0.123456789, 2)]), score_threshold=0.1)
    rendered = TASK.render(result, Options())
    assert rendered == {
        "detections": [{"label": "blue", "class_id": 2, "score": 0.123457, "box": [0.33, 0.67, 10.0, 20.0]}]
    }
    (row,) = result.rows()
    assert row == {
        "rank": 1,
        "label": "blue",
        "class_id": 2,
        "score": 0.123457,
        "x1": 0.33,
        "y1": 0.67,
        "x2": 10.0,
        "y2": 20.0,
    }
    assert set(row) == set(TASK.columns)


def test_golden_differences_match_sets_and_name_what_differs() -> None:
    rows = [([0, 0, 10, 10], 0.9, 0), ([30, 0, 40, 10], 0.8999, 0)]
    entry = entry_object(Entry("a", decode(raw(rows))), TASK, Options())
    swapped = {**entry, "detections": entry["detections"][::-1]}
    tolerance = GoldenTolerance()
    assert TASK.differences(entry, swapped, tolerance) == []
    moved = entry_object(Entry("a", decode(raw([rows[0], ([30.6, 0, 40, 10], 0.8999, 0)]))), TASK, Options())
    assert len(TASK.differences(entry, moved, tolerance)) == 2  # one missing, one extra
    weaker = entry_object(Entry("a", decode(raw([rows[0], ([30, 0, 40, 10], 0.89, 0)]))), TASK, Options())
    assert "got no such detection" in TASK.differences(entry, weaker, tolerance)[0]
    other = entry_object(Entry("a", decode(raw([rows[0], ([30, 0, 40, 10], 0.8999, 1)]))), TASK, Options())
    assert TASK.differences(entry, other, tolerance)
    assert TASK.differences(entry, {**entry, "detections": []}, tolerance)


def test_score_threshold_0_stays_bounded_in_time_and_memory() -> None:
    """300 000 candidates, as an untrusted request could make of a dense anchor grid."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (300_000, 2))
    outputs = {
        "boxes": np.hstack([corner, corner + rng.uniform(1, 12, (300_000, 2))]).astype(np.float32),
        "scores": rng.random(300_000, np.float32),
        "class_ids": rng.integers(0, 3, 300_000),
    }
    tracemalloc.start()
    started = time.thread_time()
    result = decode(outputs, score_threshold=0.0, max_detections=300)
    seconds, (_, peak) = time.thread_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result) == 300
    assert peak < 100e6, f"{peak / 1e6:.0f} MB"
    assert seconds < 5, f"{seconds:.2f} s of CPU"
    assert result.scores[-1] >= np.sort(outputs["scores"])[-MAX_CANDIDATES]


def test_feeds_of_both_families() -> None:
    spec = detector_manifest(FAMILIES["two-stage"], input_hw=INPUT_HW).pipeline
    prepared = Prepared(np.zeros((*INPUT_HW, 3), np.uint8), ImageTransform((10, 20), INPUT_HW, (32, 64), (3.2, 3.2)))
    feeds = TASK.feeds([prepared] * 2, [Options(score_threshold=t, iou_threshold=0.5) for t in (0.1, 0.2)], spec)
    assert feeds["images"].shape == (2, *INPUT_HW, 3)
    assert feeds["content_hw"].tolist() == [[32, 64], [32, 64]]
    assert feeds["score_threshold"].tolist() == np.float32([0.1, 0.2]).tolist()
    assert feeds["iou_threshold"].shape == ()
    assert {name: value.dtype for name, value in feeds.items() if name != "images"} == dict.fromkeys(
        ("content_hw", "score_threshold", "iou_threshold"), np.dtype(np.float32)
    )
