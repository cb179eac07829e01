"""References that are broken, contradict the model or tell too little: refused in one line, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from foveal.errors import BadReference
from foveal.export.importing.build import import_model
from foveal.export.importing.plan import Request
from foveal.export.importing.proof.matching import Match, match
from foveal.export.importing.proof.reference import Reference, read_reference
from foveal.export.importing.proof.results_files import Answer
from foveal.export.writing import Target
from foveal.metrics.truth_results import TruthMasks
from foveal.tasks.detections import Detections
from tests.helpers import foreign_graphs as graphs

LABELS = ("cat", "dog", "hen", "owl")
Entries = list[dict[str, Any]]


def classes(entries: Entries, **of_first: Any) -> Entries:
    entries[0]["classes"][0] |= of_first
    return entries


BROKEN: dict[str, tuple[Callable[[Entries], Any], str]] = {
    "NaN": (lambda e: classes(e, score=float("nan")), "NaN or infinity"),
    "above one": (lambda e: classes(e, score=7.0), "expected scores from 0 to 1, got .* to 7"),
    "negative class": (lambda e: classes(e, class_id=-1), "class_id as a whole number from 0, got -1"),
    "half a class": (lambda e: classes(e, class_id=0.5), "whole number from 0, got 0.5"),
    "huge class": (lambda e: classes(e, class_id=10**400), "whole number from 0, got 1000"),
    "huge score": (lambda e: classes(e, score=10**400), "OverflowError"),
    "another label": (lambda e: classes(e, label="zebra"), "calls a class 'zebra', which is no label of the model"),
    "a class twice": (lambda e: classes(e, class_id=1, label="dog"), "each class once"),
    "an image twice": (lambda e: [*e, e[0]], "entry 4: a second answer to photo0.png"),
    "no image": (lambda e: [*e, {"classes": []}], "entry 4: expected .*KeyError 'image'"),
    "null": (lambda e: [*e, None], "entry 4: expected"),
    "another folder's image": (lambda e: [*e, {**e[0], "image": {"name": "x.png"}}], "'x.png', which is not in"),
    "framework of two lines": (lambda e: {"framework": "x\n# Proved", "entries": e}, "one line of text"),
    "framework that is none": (lambda e: {"framework": {"a": 1}, "entries": e}, "one line of text"),
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (20, 20), (60 * i, 90, 30)).save(folder / f"photo{i}.png")
    return folder


def entries() -> Entries:
    rows = [{"label": label, "class_id": i, "score": 0.25} for i, label in enumerate(LABELS)]
    return [{"image": {"name": f"photo{i}.png"}, "classes": [dict(row) for row in rows]} for i in range(3)]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_entries(name: str, images: Path, tmp_path: Path) -> None:
    change, message = BROKEN[name]
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(change(entries())))
    with pytest.raises(BadReference, match=message) as caught:
        read_reference(path, images, labels=LABELS)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"bbox": [1, 2, 3]}, "row 1: expected boxes of four numbers, got 3"),
        ({"bbox": [1, 2, -3, 4]}, "COCO: x, y, width, height"),
        ({"bbox": [1, 2, 3, 10**400]}, "OverflowError"),
        ({"category_id": "seven"}, "row 1: expected image_id"),
        ({"score": None}, "row 1: expected image_id|NaN"),
    ],
)
def test_broken_coco_results(row: dict[str, Any], message: str, images: Path, tmp_path: Path) -> None:
    whole = {"image_id": "photo0", "category_id": 1, "score": 0.5, "bbox": [1, 2, 3, 4]}
    path = tmp_path / "results.json"
    path.write_text(json.dumps([whole | row]))
    with pytest.raises(BadReference, match=message):
        read_reference(path, images)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo0.png,0.25,0.25,0.25,0.25\n" * 2, "expected the columns file_name"),
        ("file_name,cat,dog,hen,fox\nphoto0.png,0.25,0.25,0.25,0.25\n", "each label of the model, got 'fox'"),
        ("file_name,cat,dog,hen,owl\n" + "photo0.png,0.25,0.25,0.25,0.25\n" * 2, "line 3: a second answer"),
        ("file_name,cat,dog,hen,owl\nphoto0.png,nan,0.25,0.25,0.25\n", "NaN"),
        ("[" * 200_000, "expected CSV"),
    ],
)
def test_broken_tables(text: str, message: str, images: Path, tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text(text)
    with pytest.raises(BadReference, match=message):
        read_reference(path, images, labels=LABELS)


def test_json_nested_too_deeply(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text("[" * 200_000)
    with pytest.raises(BadReference, match="nested too deeply"):
        read_reference(path, images)


def with_reference(path: Path, images: Path, change: Callable[[Entries], Any], tmp_path: Path, **fields: Any) -> None:
    reference = tmp_path / "reference.json"
    reference.write_text(json.dumps(change(entries())))
    labels = fields.pop("labels", LABELS)
    request = Request(path, family="timm", labels=labels, reference=read_reference(reference, images, labels=labels))
    import_model(request, Target.of(tmp_path / "zoo" / "model" / "1"))


def test_the_best_class_alone_is_refused(images: Path, tmp_path: Path) -> None:
    path = graphs.classifier(tmp_path / "model.onnx")

    def best(rows: Entries) -> Entries:
        return [{**row, "classes": row["classes"][:1]} for row in rows]

    with pytest.raises(BadReference, match="probabilities of all 4 classes, or of the best 4, got 1"):
        with_reference(path, images, best, tmp_path)
    assert not (tmp_path / "zoo").exists()


def test_probabilities_that_fit_anything_are_said_to(images: Path, tmp_path: Path) -> None:
    """A network without contrast answers alike, whatever the flags."""
    path = graphs.classifier(tmp_path / "model.onnx", gain=1e-7)
    session = onnxruntime.InferenceSession(path)
    logits = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, 32, 32), np.float32)})[0][0]
    shares = (np.exp(logits) / np.exp(logits).sum()).tolist()

    def same(rows: Entries) -> Entries:
        for row in rows:
            for item, share in zip(row["classes"], shares, strict=True):
                item["score"] = share
        return rows

    with_reference(path, images, same, tmp_path)
    card = (tmp_path / "zoo" / "model" / "1" / "CARD.md").read_text()
    assert "the reference does not tell the flags used from --" in card


@pytest.mark.parametrize(("wrong", "holds"), [(False, True), (True, False)])
def test_objects_at_the_lowest_score_prove_nothing(wrong: bool, holds: bool) -> None:
    """Either side may have been cut there, so boxes that do not match do not count; they must not be most of them."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (300, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + 20], axis=1)
    scores = np.full(300, 0.119, np.float32)
    result = Detections(boxes, scores, np.zeros(300, np.int64), LABELS, (100, 100))
    shifted = boxes.astype(np.float64) + np.where(np.arange(300) < 240, 3.0 if wrong else 0.0, 0.0)[:, None]
    answer = Answer(shifted, scores.astype(np.float64), np.zeros(300, np.int64))
    found = match({Path("a"): result}, Reference("x", "", {Path("a"): answer}, {}))
    assert found.holds is holds
    assert found.tells is holds


def test_nothing_compared_is_no_agreement() -> None:
    assert Match().share == 0
    assert not Match().holds


@pytest.mark.parametrize(("masks", "counts"), [(True, False), (False, True)])
def test_only_a_reference_with_masks_may_have_lost_some_at_its_limit(masks: bool, counts: bool) -> None:
    """294 objects, and six of ours below the worst of them: Ultralytics drops empty masks after cutting at 300."""
    corners = np.random.default_rng(0).uniform(0, 60, (300, 2)).astype(np.float32)
    boxes, scores = np.concatenate([corners, corners + 20], axis=1), np.linspace(0.9, 0.5, 300, dtype=np.float32)
    ids = np.zeros(300, np.int64)
    whole = {"size": [100, 100], "counts": [0, 10_000]}
    rles = tuple({"size": [100, 100], "counts": "0`h9"} for _ in range(300))
    result = Detections(boxes, scores, ids, LABELS, (100, 100), TruthMasks(rles) if masks else None)
    own = (whole,) * 294 if masks else None
    answer = Answer(boxes[:294].astype(np.float64), scores[:294].astype(np.float64), ids[:294], own)
    other = Answer(np.array([[1.0, 1, 9, 9]]), np.array([0.3]), ids[:1], own and own[:1])
    second = Detections(
        other.boxes_xyxy.astype(np.float32),
        np.array([0.3], np.float32),
        ids[:1],
        LABELS,
        (100, 100),
        TruthMasks(rles[:1]) if masks else None,
    )
    reference = Reference("x", "", {Path("a"): answer, Path("b"): other}, {})
    found = match({Path("a"): result, Path("b"): second}, reference)
    assert found.agreed == 295
    assert (found.total > 295) is counts
