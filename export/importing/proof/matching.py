"""Matching of a package's answers with a reference's (`match`): what agrees, what is missing, how far values are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from foveal.errors import BadData
from foveal.export.importing.proof.reference import Reference, mask_of
from foveal.export.importing.proof.results_files import Answer
from foveal.imaging.boxes import box_iou
from foveal.options import MAX_DETECTIONS
from foveal.results import Result
from foveal.tasks.base import Task
from foveal.tasks.classification import Classification
from foveal.tasks.detections import Detections
from foveal.tasks.object_detection import MIN_SIDE_PX
from foveal.tasks.semantic_segmentation import SemanticMap

BOX_PX = 0.05
SCORE = 1e-3
PROBABILITY = 1e-3
LOG_PROBABILITY = 1e-2  # where the probability is at least PROBABILITY: flat scores agree with anything otherwise
MASK_IOU = 0.99
SHARE = 0.999
EMPTY_MASKS = 15  # at most; Ultralytics drops them after its limit, so a reference that was cut may have fewer
LOW_SCORE = 0.1  # a reference must reach down to it: above, class-agnostic NMS and the rest look alike


@dataclass
class Match:
    """Agreement over all images so far. `agreed` of `total` are detections, images or pixels."""

    agreed: int = 0
    total: int = 0
    left_out: int = 0  # near the lowest score that was asked for, where either side may have been cut
    fit: list[float] = field(default_factory=list)  # an image's closeness in [0, 1], which also grades what fails
    worst: dict[str, float] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)  # what does not agree, in words

    @property
    def share(self) -> float:
        """Of what was compared, 0 when there was nothing."""
        return self.agreed / self.total if self.total else 0.0

    @property
    def closeness(self) -> float:
        """Mean over images."""
        return float(np.mean(self.fit)) if self.fit else 0.0

    @property
    def holds(self) -> bool:
        """Whether the criterion is met, by enough of the reference."""
        return self.tells and self.total > 0 and self.share >= SHARE

    @property
    def tells(self) -> bool:
        """Whether more was compared than left out."""
        return self.left_out <= self.total

    def measured(self) -> dict[str, float]:
        """For manifests and people."""
        left_out = {"left_out": float(self.left_out)} if self.left_out else {}
        return {"compared": float(self.total), "agreed_share": round(self.share, 6), **left_out, **self.worst}

    def note(self, name: str, value: float) -> None:
        """Keep the largest."""
        self.worst[name] = max(self.worst.get(name, 0.0), round(float(value), 6))


def criterion_of(task: Task) -> str:
    """What has to hold, in words and numbers."""
    if task.has_objects:
        masks = f", mask IoU at least {MASK_IOU}" if task.has_id_map else ""
        return (
            f"{SHARE:.1%} of detections, down to the reference's lowest score, matched one to one: same class, every "
            f"edge within {BOX_PX} px, score within {SCORE:g}{masks}"
        )
    if task.has_id_map:
        return f"{SHARE:.1%} of pixels of the same class"
    logarithm = f"its logarithm within {LOG_PROBABILITY:g}"
    return f"for {SHARE:.1%} of images every probability within {PROBABILITY:g}, and {logarithm}"


def match(results: Mapping[Path, Result], reference: Reference) -> Match:
    """Compare results with a reference's answers to the same images.

    Args:
        results: under a score threshold just below `floor_of(reference)`.
        reference: its answers.

    Raises:
        BadData: answers of another task.
    """
    found, floor = Match(), floor_of(reference)
    for path, result in results.items():
        answer = reference.images[path]
        if isinstance(result, Detections):
            _match_detections(found, result, answer, floor, path.name)
        elif isinstance(result, Classification):
            _match_classes(found, result, answer, path.name)
        elif isinstance(result, SemanticMap):
            _match_maps(found, result, answer, path.name)
    return found


def floor_of(reference: Reference) -> float:
    """The lowest score of a reference's detections; 0 without any."""
    scores = [answer.scores.min() for answer in reference.images.values() if len(answer.scores)]
    return float(min(scores)) if scores else 0.0


def _match_detections(found: Match, result: Detections, answer: Answer, floor: float, name: str) -> None:
    limit = np.array([result.image_hw[1], result.image_hw[0]] * 2)
    boxes = np.clip(answer.boxes_xyxy, 0, limit)
    cut_from = MAX_DETECTIONS - (EMPTY_MASKS if answer.masks is not None else 0)
    least_extra = float(answer.scores.min()) if len(answer.scores) >= cut_from else floor  # below: cut off there
    least_missing = float(result.scores.min()) if len(result) >= MAX_DETECTIONS else -1.0
    hidden = len(boxes)
    answer, boxes = _visible(answer, boxes)
    hidden -= len(boxes)
    same = answer.class_ids[:, None] == result.class_ids[None]
    distance = np.abs(boxes[:, None] - result.boxes_xyxy[None]).max(axis=2, initial=0.0)
    off = np.abs(answer.scores[:, None] - result.scores[None])
    close = same & (distance <= BOX_PX) & (off <= SCORE)
    pairs = _pairs(close, distance)
    if answer.masks is not None and result.masks is not None:
        pairs = [(i, j) for i, j in pairs if _mask_agrees(found, answer, result, i, j)]
    missing = set(range(len(boxes))) - {i for i, _ in pairs}
    extra = set(range(len(result))) - {j for _, j in pairs}
    left_out = len(missing) + len(extra) + hidden
    missing = {i for i in missing if answer.scores[i] > least_missing + SCORE}
    extra = {j for j in extra if result.scores[j] > least_extra + SCORE}
    for i, j in pairs:
        found.note("box_px", distance[i, j])
        found.note("score", off[i, j])
    found.agreed += len(pairs)
    found.total += len(pairs) + max(len(missing), len(extra))
    found.left_out += left_out - len(missing) - len(extra)
    found.fit.append(_closeness(boxes, answer, result, same))
    found.examples += [f"{name}: expected {_words(answer, boxes, i)}, got none such" for i in sorted(missing)[:2]]
    found.examples += [f"{name}: got {_result_words(result, j)}, not in the reference" for j in sorted(extra)[:2]]


def _visible(answer: Answer, boxes: npt.NDArray[np.float64]) -> tuple[Answer, npt.NDArray[np.float64]]:
    """Without boxes beside the image (in the padding), which some frameworks keep with no width."""
    rows = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_SIDE_PX)
    masks = None if answer.masks is None else tuple(answer.masks[i] for i in rows)
    kept = replace(answer, scores=answer.scores[rows], class_ids=answer.class_ids[rows], masks=masks)
    return kept, boxes[rows]


def _pairs(close: npt.NDArray[np.bool_], distance: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """One to one, nearest first."""
    rows, columns = np.nonzero(close)
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    pairs = []
    for k in np.argsort(distance[rows, columns], kind="stable"):
        i, j = int(rows[k]), int(columns[k])
        if i not in used_rows and j not in used_columns:
            used_rows.add(i)
            used_columns.add(j)
            pairs.append((i, j))
    return pairs


def _mask_agrees(found: Match, answer: Answer, result: Detections, i: int, j: int) -> bool:
    assert answer.masks is not None
    want, have = mask_of(answer.masks[i], result.image_hw) > 0, result.bitmap(j).full() > 0
    if want.shape != have.shape:
        raise BadData(f"segmentation: expected a mask of {have.shape}, the image's size, got {want.shape}")
    union = int((want | have).sum())
    iou = int((want & have).sum()) / union if union else 1.0
    found.note("mask_iou_gap", 1 - iou)
    return iou >= MASK_IOU


def _closeness(
    boxes: npt.NDArray[np.float64], answer: Answer, result: Detections, same: npt.NDArray[np.bool_]
) -> float:
    """Mean over both sides' objects of the best IoU times score agreement with one of the same class."""
    if not len(boxes) or not len(result):
        return float(len(boxes) == len(result))
    grades = box_iou(boxes, result.boxes_xyxy.astype(np.float64)) ** 2
    grades = np.where(same, grades * (1 - np.abs(answer.scores[:, None] - result.scores[None])), 0)
    expected = float((grades.max(axis=1) * answer.scores).sum() / max(answer.scores.sum(), 1e-12))
    got = float((grades.max(axis=0) * result.scores).sum() / max(float(result.scores.sum()), 1e-12))
    return (expected + got) / 2


def _words(answer: Answer, boxes: npt.NDArray[np.float64], i: int) -> str:
    return f"class {answer.class_ids[i]} {answer.scores[i]:.4f} at {[round(float(v), 2) for v in boxes[i]]}"


def _result_words(result: Detections, j: int) -> str:
    box = [round(float(v), 2) for v in result.boxes_xyxy[j]]
    return f"class {result.class_ids[j]} ({result.labels[result.class_ids[j]]}) {result.scores[j]:.4f} at {box}"


def _match_classes(found: Match, result: Classification, answer: Answer, name: str) -> None:
    have = np.zeros(len(result.labels))
    have[result.class_ids] = result.scores
    if answer.class_map is not None or not len(answer.class_ids) or answer.class_ids.max() >= len(have):
        raise BadData(f"{name}: expected probabilities of {len(have)} classes, got class ids {answer.class_ids[-3:]}")
    got = have[answer.class_ids]
    gap = np.abs(got - answer.scores)
    real = answer.scores >= PROBABILITY
    logs = np.abs(np.log(np.maximum(got[real], 1e-12)) - np.log(answer.scores[real])).max(initial=0.0)
    first = int(answer.class_ids[answer.scores.argmax()])
    agrees = gap.max() <= PROBABILITY and logs <= LOG_PROBABILITY
    if agrees or gap.max() <= 0.1:
        found.note("probability", gap.max())
        found.note("log_probability", logs)
    found.total += 1
    found.agreed += int(agrees)
    found.fit.append(1 / (1 + float(logs)))
    if not agrees:
        best = int(result.class_ids[0])
        found.examples.append(
            f"{name}: expected {result.labels[first]} {answer.scores.max():.4f}, got {result.labels[best]} "
            f"{result.scores[0]:.4f}; largest difference {gap.max():.4f}"
        )


def _match_maps(found: Match, result: SemanticMap, answer: Answer, name: str) -> None:
    if answer.class_map is None or answer.class_map.shape != result.image_hw:
        got = "none" if answer.class_map is None else str(answer.class_map.shape)
        raise BadData(f"{name}: expected a class map of {result.image_hw}, got {got}")
    same = int((answer.class_map == result.class_map).sum())
    found.agreed += same
    found.total += result.class_map.size
    found.fit.append(same / result.class_map.size)
    if same < SHARE * result.class_map.size:
        found.examples.append(f"{name}: {1 - same / result.class_map.size:.3%} of pixels have another class")
