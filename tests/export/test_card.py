"""The card and the printed scores: every figure of every task has its meaning, counts are whole."""

import numpy as np
import pytest

from foveal.export.card import FIGURES, card
from foveal.export.evaluation.report import print_scores
from foveal.metrics import SCORING, Scores, scoring
from foveal.metrics.truth import ObjectTruth
from foveal.options import Defaults
from foveal.packages.manifest import Metrics, Parity
from foveal.tasks.classification import Classification
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks
from foveal.tasks.semantic_segmentation import SemanticMap
from tests.helpers.packages import colour_manifest

LABELS = ("cell", "dust")
HW = (20, 30)


class TruthMap:
    def read(self) -> np.ndarray:
        return np.zeros(HW, np.uint8)


def pair(task: str) -> tuple[object, object]:
    """A result and its truth."""
    if task == "classification":
        return Classification(np.array([0.7, 0.3], np.float32), np.array([0, 1]), LABELS, HW), 0
    if task == "semantic-segmentation":
        return SemanticMap(np.zeros(HW, np.uint8), LABELS, HW), TruthMap()
    box, one = np.array([[1, 1, 9, 9]], np.float32), np.zeros(1, np.int64)
    bitmap = np.zeros(HW, np.uint8, order="F")
    bitmap[1:9, 1:9] = 1
    truth = ObjectTruth(box, one, HW, masks=(encode(bitmap),))
    masks = InstanceMasks(np.ones((1, 28, 28), np.float32)) if task == "instance-segmentation" else None
    return Detections(box, np.ones(1, np.float32), one, LABELS, HW, masks), truth


def encode(bitmap: np.ndarray) -> dict[str, object]:
    from pycocotools import mask

    rle = mask.encode(bitmap)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def scored(task: str) -> Scores:
    result, truth = pair(task)
    return scoring(task).score([result], [truth], LABELS)


@pytest.mark.parametrize("task", sorted(SCORING))
def test_every_figure_of_a_task_has_a_meaning_on_its_card(task: str) -> None:
    scores = scored(task)
    assert scores.values.keys() <= FIGURES.keys()
    metrics = Metrics(split="test", images=1, values=scores.values, per_class=scores.per_class)
    text = card(colour_manifest(task=task, labels=LABELS, metrics=metrics), about="")
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.split("|")[1].strip() in scores.values]
    assert len(rows) == len(scores.values)
    assert all(row.split("|")[5].strip() for row in rows)


def test_counts_are_whole_and_what_was_not_measured_is_empty() -> None:
    figures = {"cell": {"AP50": 0.25, "objects": 805.0}, "dust": {"objects": 0.0}}
    metrics = Metrics(split="test", images=1, values={"AP50": 0.25}, per_class=figures)
    parity = Parity(reference="x", images=1, batch_sizes=(1,), criterion="y", measured={"matched": 1603.0, "px": 3e-4})
    text = card(colour_manifest(task="object-detection", metrics=metrics, parity=parity), about="")
    assert "| cell | 0.250 | 805 |" in text
    assert "| dust |  | 0 |" in text
    assert "matched 1603, px 0.0003." in text


def test_a_detectors_card_says_its_threshold_and_a_classifiers_none() -> None:
    detector = colour_manifest(task="object-detection", defaults=Defaults(score_threshold=0.43))
    assert "score above 0.43" in card(detector, about="")
    assert "score above" not in card(colour_manifest(), about="")


def test_printed_scores_of_a_detector_show_its_errors(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores(scored("object-detection"), "tiny")
    printed = capsys.readouterr().out
    for words in ("AP50", "localisation", "missed", "with a score above"):
        assert words in printed
