"""Files of results (`from_entries`, `from_coco`, `from_csv`): what a framework answered, checked row by row."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.errors import BadReference
from foveal.imaging import class_map

Array = npt.NDArray[Any]

MAX_CLASSES = 1_000_000
TOLERANCE = 1e-4  # of scores beyond 0 and 1
FILE_COLUMNS = ("file_name", "filename", "name", "image", "file", "path")
ENTRY = '{"image": {"name"}, "detections": [{"class_id", "score", "box": [x1, y1, x2, y2]}, …]} or "classes"'
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Answer:
    """To one image. Boxes in pixels of the image, continuous edges."""

    boxes_xyxy: Array  # (K, 4)
    scores: Array  # (K,); of a classifier its probabilities
    class_ids: Array  # (K,)
    masks: tuple[Any, ...] | None = None  # COCO run lengths
    class_map: npt.NDArray[np.uint8] | None = None  # (H, W)


def from_entries(
    file: str, rows: Sequence[Any], labels: Sequence[str] | None
) -> tuple[dict[str, Answer], dict[int, str]]:
    """Foveal's entries -> answer by image, and label by class id."""
    answers: dict[str, Answer] = {}
    names: dict[int, str] = {}
    for number, row in enumerate(rows, 1):
        try:
            name, answer, own = _entry(row, labels)
        except BadReference as error:
            raise BadReference(f"{file}, entry {number}: {error}") from None
        except MALFORMED as error:
            raise BadReference(
                f"{file}, entry {number}: expected {ENTRY}: {type(error).__name__} {str(error)[:80]}"
            ) from None
        if name in answers:
            raise BadReference(f"{file}, entry {number}: a second answer to {name}")
        answers[name] = answer
        names |= own
    return answers, names


def _entry(row: Any, labels: Sequence[str] | None) -> tuple[str, Answer, dict[int, str]]:
    """One image's name, answer, and what its classes are called."""
    objects = row.get("detections", row.get("classes", []))
    ids = [_class_id(item, labels) for item in objects]
    size = (int(row["image"].get("height", 0)), int(row["image"].get("width", 0)))
    mask = row.get("segmentation", {}).get("mask")
    if "classes" in row and len(set(ids)) < len(ids):
        raise BadReference("expected each class once")
    answer = Answer(
        _boxes([item.get("box", (0, 0, 0, 0)) for item in objects]),
        np.array([item["score"] for item in objects], np.float64),
        np.array(ids, np.int64),
        tuple(item["mask"] for item in objects) if objects and all("mask" in item for item in objects) else None,
        class_map.decode(mask, size) if mask else None,
    )
    return (
        str(row["image"]["name"]),
        answer,
        {i: str(o["label"]) for i, o in zip(ids, objects, strict=True) if "label" in o},
    )


def _boxes(rows: Sequence[Any]) -> Array:
    """(K, 4), from K rows of four numbers."""
    for row in rows:
        if len(row) != 4:
            raise BadReference(f"expected boxes of four numbers, got {len(row)}")
    return np.array(rows, np.float64).reshape(-1, 4)


def _class_id(item: Mapping[str, Any], labels: Sequence[str] | None) -> int:
    """By the label where it is one of the model's; else the number, which must not be called otherwise."""
    number, label = item.get("class_id"), item.get("label")
    if number is not None and (isinstance(number, bool) or number != int(number) or not 0 <= number < MAX_CLASSES):
        raise BadReference(f"expected class_id as a whole number from 0, got {number!s:.40}")
    if labels is None or label is None:
        return int(item["class_id"])
    if number is not None and number < len(labels) and labels[int(number)] == label:
        return int(number)
    if label not in labels:
        raise BadReference(
            f"calls a class {label!r}, which is no label of the model ({', '.join(labels[:5])}"
            f"{', …' if len(labels) > 5 else ''}): give --labels as the framework has them"
        )
    return list(labels).index(label)


def from_coco(file: str, rows: Sequence[Any], _: Sequence[str] | None) -> tuple[dict[str, Answer], dict[int, str]]:
    """COCO results, with the category ids as they are: `numberings` says what they may be.

    `file_name` may stand in place of `image_id`.
    """
    grouped: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    answers: dict[str, Answer] = {}
    number = 0  # of the row, for messages
    try:
        for row in rows:
            number += 1
            _boxes([row["bbox"]])
            grouped[str(row["image_id"] if "image_id" in row else row["file_name"])].append(row)
            _class_id({"class_id": row["category_id"]}, None)
        for image, own in grouped.items():
            boxes = _boxes([row["bbox"] for row in own])
            boxes[:, 2:] += boxes[:, :2]
            masks = tuple(row["segmentation"] for row in own) if "segmentation" in own[0] else None
            scores = np.array([row["score"] for row in own], np.float64)
            answers[image] = Answer(boxes, scores, np.array([int(row["category_id"]) for row in own], np.int64), masks)
    except BadReference as error:
        raise BadReference(f"{file}, row {number}: {error}") from None
    except MALFORMED as error:
        raise BadReference(
            f"{file}, row {number}: expected image_id, category_id, score and bbox (x, y, width, height): "
            f"{type(error).__name__} {str(error)[:80]}"
        ) from None
    return answers, {}


def check(answer: Answer, where: str) -> None:
    """Refuse what no answer can be.

    Raises:
        BadReference: numbers that are none, scores outside 0 to 1, boxes whose edges lie the wrong way round.
    """
    if not np.isfinite(answer.scores).all() or not np.isfinite(answer.boxes_xyxy).all():
        raise BadReference(f"{where}: expected numbers, got NaN or infinity")
    if len(answer.scores) and not -TOLERANCE <= answer.scores.min() <= answer.scores.max() <= 1 + TOLERANCE:
        low, high = answer.scores.min(), answer.scores.max()
        raise BadReference(f"{where}: expected scores from 0 to 1, got {low:.6g} to {high:.6g}")
    sides = answer.boxes_xyxy[:, 2:] - answer.boxes_xyxy[:, :2]
    if len(sides) and (row := int(sides.min(axis=1).argmin()), sides[row].min())[1] < 0:
        box = [round(float(edge), 2) for edge in answer.boxes_xyxy[row]]
        raise BadReference(f"{where}: expected boxes as x1, y1, x2, y2 (COCO: x, y, width, height), got edges {box}")


def from_csv(path: Path, text: str, labels: Sequence[str] | None) -> tuple[dict[str, Answer], dict[int, str]]:
    """Columns file_name and one a label, of probabilities."""
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise BadReference(f"{path.name}: expected CSV: {error}") from None
    header = rows[0] if rows else []
    if len(header) < 3 or header[0].strip().lower() not in FILE_COLUMNS:
        raise BadReference(
            f"{path.name}: expected the columns file_name and one for each label, got {','.join(header)!r:.80}"
        )
    names = [name.strip() for name in header[1:]]
    known = labels is not None and set(names) == set(labels) and len(set(names)) == len(names)
    if labels is not None and not known and len(set(labels)) == len(labels) and not all(map(str.isdecimal, names)):
        stranger = next((name for name in names if name not in labels), names[0])
        raise BadReference(f"{path.name}: expected a column for each label of the model, got {stranger!r}")
    ids = np.array([list(labels or ()).index(name) if known else i for i, name in enumerate(names)], np.int64)
    answers = {}
    for number, row in enumerate(rows[1:], 2):
        try:
            values = np.array([float(value) for value in row[1:]], np.float64)
        except ValueError as error:
            raise BadReference(f"{path.name}, line {number}: expected probabilities: {error}") from None
        if len(values) != len(names):
            raise BadReference(f"{path.name}, line {number}: expected {len(names)} probabilities, got {len(values)}")
        if row[0].strip() in answers:
            raise BadReference(f"{path.name}, line {number}: a second answer to {row[0].strip()}")
        answers[row[0].strip()] = Answer(np.zeros((len(ids), 4)), values, ids)
    return answers, dict(zip(ids.tolist(), names, strict=True))
