"""`foveal evaluate --report`: one offline page with the planted mistakes; confusions of objects; doubtful labels."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveal.export.report import page
from foveal.export.report.classified import label_errors
from foveal.export.report.detected import detected
from foveal.export.report.mapped import mapped
from foveal.export.report.panels import crop
from foveal.metrics import scoring
from foveal.metrics.detection_errors import object_confusion
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.tasks.detections import Detections
from foveal.tasks.semantic_segmentation import SemanticMap
from tests.helpers.commandline import foveal
from tests.helpers.painted_classes import member, paint

LABELS = ("cell", "speck")
HW = (100, 120)


def found(*rows: tuple[list[float], float, int]) -> Detections:
    boxes, scores, ids = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(ids, np.int64), LABELS, HW
    )


def truth(*rows: tuple[list[float], int]) -> ObjectTruth:
    boxes, ids = [box for box, _ in rows], [class_id for _, class_id in rows]
    return ObjectTruth(np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int64), HW)


A, B, C, D = [5, 5, 35, 35], [50, 10, 80, 40], [10, 60, 40, 90], [70, 60, 100, 90]
RESULT = found(
    (A, 0.95, 0), (D, 0.9, 0), (B, 0.8, 1), (C, 0.2, 0)
)  # right; in vain; another class; below the threshold
TRUTH = truth((A, 0), (B, 0), (C, 1))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*HW, 3), dtype=np.uint8)).save(path)
    return path


def test_confusion_of_objects_counts_each_once() -> None:
    counts = object_confusion([RESULT], [TRUTH], 0.5, "bbox", 2)
    assert counts.tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]  # rows: cell, speck, nothing
    assert object_confusion([found()], [truth()], 0.5, "bbox", 2).sum() == 0


def test_confusion_prefers_the_objects_own_class() -> None:
    """Two objects in one place: each detection takes that of its class, whatever its score."""
    result, both = found((A, 0.9, 1), (A, 0.8, 0)), truth((A, 0), (A, 1))
    assert object_confusion([result], [both], 0.5, "bbox", 2).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_each_kind_of_error_is_shown(image: Path) -> None:
    sections = detected([Sample("image.png", image, TRUTH)], [RESULT], 0.5, scoring("object-detection").truth_result)
    text = "\n".join(sections)
    headings = dict(re.findall(r"<h2>([^<]+): (\d+)</h2>", text))
    assert headings["Found where the truth has nothing"] == "1"
    assert headings["Found, under another class"] == "1"
    assert headings["Missed, the largest first"] == "1"
    assert headings["Found twice"] == "0"
    assert "cell 0.900 (image.png)" in text
    assert "speck (image.png)" in text


def test_regions_of_another_class_are_shown(image: Path) -> None:
    class_map = np.zeros(HW, np.uint8)
    class_map[20:60, 30:80] = 1

    class Map:
        def read(self) -> np.ndarray:
            return np.zeros(HW, np.uint8)

    sections = mapped(
        [Sample("image.png", image, Map())],
        [SemanticMap(class_map, LABELS, HW)],
        scoring("semantic-segmentation").truth_result,
    )
    assert "cell taken for speck, 2000 px (image.png)" in "\n".join(sections)


def test_doubtful_labels_are_those_that_were_swapped() -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(0, 3, 300)
    probabilities = np.full((300, 3), 0.1)
    probabilities[np.arange(300), right] = 0.8
    probabilities += rng.uniform(0, 0.05, probabilities.shape)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    written = right.copy()
    swapped = rng.choice(300, 12, replace=False)
    written[swapped] = (right[swapped] + 1) % 3
    assert set(label_errors(probabilities, written)[:12].tolist()) <= set(swapped.tolist())
    assert len(label_errors(probabilities, right)) == 0


def test_the_command_writes_one_page_that_needs_no_network(tmp_path: Path) -> None:
    data = paint(tmp_path / "paint")
    member(tmp_path / "zoo", "blind", data, gain=(4.0, 8.0, 8.0))
    command = ("evaluate", "blind", "--data", data, "--zoo", tmp_path / "zoo", "--split", "all")
    code, printed, talk = foveal(*command, "--report", tmp_path / "report")
    assert code == 0
    assert str(tmp_path / "report" / "report.html") in talk
    text = (tmp_path / "report" / "report.html").read_text()
    assert "Mistakes, the surest first" in text
    assert "http" not in text
    assert "<script" not in text
    assert printed == foveal(*command)[1]


def test_names_are_text_not_markup() -> None:
    text = page.page("<b>", [page.table(["<i>"], [["<script>"]]), page.heading("&"), page.paragraph('"')])
    assert "<script>" not in text
    assert "<i>" not in text


@pytest.mark.parametrize("box", [[0, 0, 5, 5], [110, 90, 120, 100], [0, 0, 120, 100], [3.5, 2.5, 3.6, 2.6]])
def test_crops_stay_in_the_image(box: list[float]) -> None:
    part = crop(np.zeros((*HW, 3), np.uint8), np.array(box, np.float32), side_px=50)
    assert max(part.shape[:2]) == 50
    assert min(part.shape[:2]) >= 1
