"""Labels of foreign models: read from files and metadata (`read_labels`), and given to class columns (`labelled`)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveal.errors import BadModelFile, BadRequest
from foveal.export.importing.families.detr import DetrHead
from foveal.export.importing.families.head import Head
from foveal.export.importing.reading import Reading
from foveal.tasks import task_of
from foveal.text_files import read_text

UNUSED = ("n/a", "__background__", "none", "no-object", "")  # names of columns that no object ever has
MAX_LABELS = 100_000
MAX_LABEL = 200  # characters


def read_labels(given: str) -> tuple[str, ...]:
    """Labels in the order of the class ids.

    Args:
        given: `a,b,c`, or a file: one a line, a JSON list or object id -> label (Hugging Face's config.json has it as
            id2label), a data.yaml with `names`, or COCO's annotations (categories, by id).

    Raises:
        BadRequest: a file without labels, or what is no label.
    """
    path = Path(given)
    if not _is_file(path):
        looks_like_one = path.suffix.lower() in (".txt", ".json", ".yaml", ".yml", ".names", ".csv") or "/" in given
        if looks_like_one and "," not in given:
            raise BadRequest(f"--labels: expected a file or a,b,c; there is no file {given}")
        return _checked([label.strip() for label in given.split(",")], "--labels")
    text = read_text(path, BadRequest)
    if path.suffix.lower() == ".json":
        return _ordered(_json(path, text), path.name)
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        try:
            return _ordered(yaml.safe_load(text), path.name)
        except yaml.YAMLError as error:
            raise BadRequest(f"--labels: {path.name}: {' '.join(str(error).split())[:200]}") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [line.partition(" ") for line in lines]
    if all(number.rstrip(":,") == str(i) and label for i, (number, _, label) in enumerate(numbered)):
        lines = [label.strip() for _, _, label in numbered]
    return _checked(lines, path.name)


def _is_file(path: Path) -> bool:
    """Not for a list of labels that is longer than a file's name may be."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def labels_of(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What Ultralytics writes into its exports as `names`; None: nothing of the kind."""
    names = metadata.get("names")
    try:
        return _ordered(names, "metadata") if isinstance(names, dict | list | tuple) and names else None
    except BadRequest:
        return None


def unreadable(metadata: Mapping[str, Any]) -> bool:
    """Whether the file has names of classes that are no such thing."""
    return bool(metadata.get("names")) and labels_of(metadata) is None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadRequest(f"--labels: {path.name}: expected JSON: {error}") from None


def _ordered(value: Any, where: str) -> tuple[str, ...]:
    """A list, or an object id -> label; also under names, id2label or labels; or COCO's categories by their ids."""
    if isinstance(value, dict) and isinstance(value.get("categories"), list):
        rows = [row for row in value["categories"] if isinstance(row, dict) and "name" in row]
        value = [row["name"] for row in sorted(rows, key=lambda row: int(row.get("id", 0)))]
    if isinstance(value, dict):
        value = next((value[key] for key in ("names", "id2label", "labels") if key in value), value)
    if isinstance(value, list | tuple):
        return _checked(value, where)
    try:
        by_id = {int(key): label for key, label in value.items()}
    except (AttributeError, TypeError, ValueError):
        raise BadRequest(f"{where}: expected labels as a list or as id -> label, got {str(value)[:80]}") from None
    if not by_id or min(by_id) < 0 or max(by_id) >= MAX_LABELS:
        raise BadRequest(f"{where}: expected ids from 0 to {MAX_LABELS}, got {sorted(by_id)[:3]} …")
    return _checked([by_id.get(i, "N/A") for i in range(max(by_id) + 1)], where)


def _checked(labels: Sequence[Any], where: str) -> tuple[str, ...]:
    """Text, or whole numbers as text; of Keras' pairs of WordNet's id and name the name.

    Raises:
        BadRequest: no labels, or what is no label.
    """
    if not labels:
        raise BadRequest(f"{where}: expected labels, got none")
    pairs = all(isinstance(label, list | tuple) and len(label) == 2 and isinstance(label[1], str) for label in labels)
    found = []
    for i, label in enumerate([label[1] for label in labels] if pairs else labels):
        text = str(label) if isinstance(label, int) and not isinstance(label, bool) else label
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_LABEL or not text.strip().isprintable():
            raise BadRequest(
                f"{where}: class {i}: expected a label of 1 to {MAX_LABEL} characters, got {str(label)!r:.80}"
            )
        found.append(text.strip())
    return tuple(found)


def columns_of(head: Head, reading: Reading) -> int:
    """Class columns that may have a label; 0: the file does not show how many there are."""
    background = 1 if isinstance(head, DetrHead) and reading.activation == "softmax" else 0
    return head.classes - background if head.classes else 0


def labelled(
    head: Head, reading: Reading, labels: Sequence[str] | None, name: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The labels that the package gets, and the class columns that they belong to.

    Columns of detectors that no object has ("N/A" of COCO-91) are dropped; other labels that occur twice (ImageNet has
    two cranes) get their number behind them.

    Args:
        head: the outputs.
        reading: how they are read.
        labels: in the order of the class ids; None: not known.
        name: of the file, for messages.

    Raises:
        BadModelFile: not as many labels as classes.
    """
    count, objects = columns_of(head, reading), task_of(head.task).has_objects
    if labels is None:
        if not count:
            raise BadModelFile(f"{name}: its outputs do not show how many classes it has: give --labels")
        labels = [f"class_{i}" for i in range(count)]
    columns = list(range(len(labels)))
    if count:
        if objects and len(labels) == count - reading.class_offset:
            columns = list(range(reading.class_offset, count))
        elif len(labels) != count:
            raise BadModelFile(f"{name}: expected {count} labels, as the graph has classes, got {len(labels)}")
    elif reading.class_offset and labels[0].lower() in UNUSED:
        labels, columns = labels[1:], columns[:-1]
    if count and objects:
        pairs = [(label, column) for label, column in zip(labels, columns, strict=True) if label.lower() not in UNUSED]
        labels, columns = [label for label, _ in pairs], [column for _, column in pairs]
    counts = {label: list(labels).count(label) for label in set(labels)}
    named = tuple(label if counts[label] == 1 else f"{label} ({i})" for i, label in enumerate(labels))
    return named, tuple(columns)
