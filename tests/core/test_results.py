"""Results as values: how they print, compare, count and select, and what pandas and supervision get of them."""

import pickle
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foveal
from foveal.tasks import TASKS, task_of
from tests.helpers.playground_zoo import IMAGE, PIXELS, write_zoo


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    zoo = write_zoo(tmp_path_factory.mktemp("results") / "zoo")
    return {name: foveal.load(name, zoo=zoo)(IMAGE) for name in foveal.list_models(zoo=zoo)}


def test_they_print_in_a_line(results: dict[str, Any]) -> None:
    assert repr(results["rectangles"]) == "<Detections: 3 objects (1 red, 1 green, 1 blue); image 160 x 120 px>"
    assert repr(results["halves"][:1]) == "<Detections: 1 object with masks (1 red); image 160 x 120 px>"
    assert repr(results["rectangles"][[]]) == "<Detections: 0 objects; image 160 x 120 px>"
    assert repr(results["colours"]).startswith("<Classification: green 0.")
    assert repr(results["bright"]).startswith("<SemanticMap: ")
    assert repr(results["halves"][0]) == (
        "DetectedObject(label='red', class_id=0, score=0.8999999761581421, box_xyxy=(16.0, 16.0, 64.0, 64.0))"
    )


def test_they_compare_by_value(results: dict[str, Any]) -> None:
    for name, result in results.items():
        copied = pickle.loads(pickle.dumps(result))
        assert copied == result
        assert copied is not result
        assert result != results["bright" if name != "bright" else "colours"]
        assert result != "something else"
        with pytest.raises(FrozenInstanceError):
            result.labels = ()
        with pytest.raises(TypeError, match="unhashable"):
            hash(result)
    found, masked = results["rectangles"], results["halves"]
    assert found != replace(found, scores=found.scores / 2)
    assert found != replace(found, masks=masked.masks)
    assert masked != replace(masked, masks=replace(masked.masks, soft=masked.masks.soft / 2))
    assert found[:2] == found[[True, True, False]]


@pytest.mark.parametrize("name", ["rectangles", "halves"])
def test_selecting(results: dict[str, Any], name: str) -> None:
    found = results[name]
    assert [thing.label for thing in found] == ["red", "green", "blue"]
    assert len(found) == 3
    assert found[-1].label == found[np.int64(2)].label == "blue"
    for rows in (found.scores > 0.75, [True, True, False], slice(0, 2), [1, 0], [-3, 1, 1], np.array([0, 1])):
        assert found[rows] == found[:2]
        assert [thing.label for thing in found[rows]] == ["red", "green"]
    assert found[::-1] == found
    assert found[found.class_ids == found.labels.index("green")][0].box_xyxy == (80, 40, 144, 104)
    assert len(found[found.scores > 1]) == 0
    for index in (3, -4, np.int64(3)):
        with pytest.raises(IndexError):
            found[index]


@pytest.mark.parametrize(
    "rows", ["red", None, True, np.True_, 1.0, [True], [True] * 4, [3], [0.5], np.zeros((3, 3), bool), (0, 1), {}]
)
def test_selecting_in_ways_that_select_nothing(results: dict[str, Any], rows: Any) -> None:
    with pytest.raises(foveal.FovealError, match=r"a mask of 3 truth values or a list of indices 0\.\.2"):
        results["rectangles"][rows]


def test_masks_and_mask_formats(results: dict[str, Any]) -> None:
    masked = results["halves"]
    assert masked[0].mask.full().shape == (120, 160)
    assert np.array_equal(masked[1].mask.full(), masked.bitmap(1).full())
    assert results["rectangles"][0].mask is None
    with pytest.raises(foveal.FovealError, match="expected a result with masks"):
        results["rectangles"].bitmap(0)
    assert [masked.to_dict(mask_format=name)["detections"][0]["mask"]["format"] for name in ("rle", "polygon")] == [
        "rle",
        "polygon",
    ]
    for result in results.values():
        for wrong in ("svg", 5, ["rle"]):
            with pytest.raises(foveal.FovealError, match=r"'mask_format': expected one of .*rle.*, got "):
                result.to_dict(mask_format=wrong)
    with pytest.raises(foveal.FovealError, match="expected one of png, rle, none, got 'polygon'"):
        results["bright"].to_dict(mask_format="polygon")


def test_results_that_are_none(results: dict[str, Any]) -> None:
    found = results["rectangles"]
    for changes, message in (
        ({"scores": found.scores[::-1]}, "scores: expected descending order"),
        ({"scores": found.scores.astype(float)}, r"scores: expected \(N,\) float32"),
        ({"class_ids": found.class_ids + 3}, r"class_ids: expected 0\.\.2"),
        ({"boxes_xyxy": found.boxes_xyxy[:1]}, r"boxes_xyxy: expected \(3, 4\)"),
    ):
        with pytest.raises(foveal.FovealError, match=message):
            replace(found, **changes)
    with pytest.raises(foveal.FovealError, match="expected an array"):
        found.overlay(PIXELS.astype(float))


# --- other libraries


def test_pandas_gets_the_rows(results: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    tasks = {"rectangles": "object-detection", "halves": "instance-segmentation", "bright": "semantic-segmentation"}
    for name, result in results.items():
        table = result.to_pandas()
        assert isinstance(table, pandas.DataFrame)
        assert tuple(table.columns) == task_of(tasks.get(name, "classification")).columns
        assert table.to_dict("records") == result.rows()
    assert set(tasks.values()) | {"classification"} <= set(TASKS)
    for name in ("rectangles", "halves"):
        whole, empty = results[name].to_pandas(), results[name][[]].to_pandas()
        assert list(empty.dtypes.items()) == list(whole.dtypes.items())
        assert len(empty) == 0


@pytest.mark.filterwarnings("default")  # theirs are not ours
def test_supervision_gets_everything(results: dict[str, Any]) -> None:
    sv = pytest.importorskip("supervision", reason="to_supervision is tried on the real package: extra dev has it")
    found, masked = results["rectangles"], results["halves"]
    theirs = found.to_supervision()
    assert isinstance(theirs, sv.Detections)
    assert np.array_equal(theirs.xyxy, found.boxes_xyxy)
    assert np.array_equal(theirs.confidence, found.scores)
    assert np.array_equal(theirs.class_id, found.class_ids)
    assert theirs.data["class_name"].tolist() == ["red", "green", "blue"]
    assert theirs.mask is None
    assert len(theirs[theirs.confidence > 0.75]) == 2
    theirs.xyxy[:] = 0
    assert found[0].box_xyxy == (16, 16, 64, 64)  # a copy
    with_masks = masked.to_supervision()
    assert with_masks.mask.dtype == bool
    assert all(np.array_equal(with_masks.mask[i], masked.bitmap(i).full()) for i in range(3))
    assert with_masks.area.tolist() == [masked.bitmap(i).area_px for i in range(3)]
    drawn = sv.MaskAnnotator().annotate(sv.BoxAnnotator().annotate(PIXELS.copy(), with_masks), with_masks)
    assert (drawn != PIXELS).any()
    for empty in (found[[]].to_supervision(), masked[[]].to_supervision()):
        assert len(empty) == 0
    classes = results["colours"].to_supervision()
    assert np.array_equal(classes.class_id, results["colours"].class_ids)
    assert np.array_equal(classes.get_top_k(1)[1], results["colours"].scores[:1])


@pytest.mark.filterwarnings("default")
def test_supervision_gets_a_mask_for_each_class_that_occurs(results: dict[str, Any]) -> None:
    sv = pytest.importorskip("supervision", reason="to_supervision is tried on the real package: extra dev has it")
    ground = results["bright"]
    theirs = ground.to_supervision()
    assert theirs.mask.sum(axis=0).min() == theirs.mask.sum(axis=0).max() == 1
    assert np.array_equal(theirs.class_id[theirs.mask.argmax(axis=0)], ground.class_map)
    assert theirs.data["class_name"].tolist() == [ground.labels[i] for i in theirs.class_id]
    ours_closed = sv.mask_to_xyxy(theirs.mask) + np.array([0, 0, 1, 1])  # its edges are pixels, ours lie between them
    assert np.array_equal(theirs.xyxy, ours_closed)


@pytest.mark.parametrize("module", ["pandas", "supervision"])
def test_a_missing_library_is_named(results: dict[str, Any], module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way to say that there is none
    for result in results.values():
        with pytest.raises(foveal.FovealError, match=f"needs '{module}': pip install {module}"):
            getattr(result, f"to_{module}")()


def test_paths_of_every_kind_are_drawn_on(results: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    for result in results.values():
        drawn = result.draw(tmp_path / "a.png")
        assert drawn.size == (160, 120)
        assert drawn.mode == "RGB"
        assert np.array_equal(np.asarray(drawn), result.overlay(PIXELS))
