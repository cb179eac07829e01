"""References (`read_reference`): what a model's own framework answered to images, from Foveal entries, COCO or CSV."""

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.errors import BadData
from foveal.imaging import class_map
from foveal.imaging.image_files import SUFFIXES
from foveal.text_files import read_text

Array = npt.NDArray[Any]

COCO_91 = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]  # ids of COCO's 80 classes


@dataclass(frozen=True)
class Answer:
    """To one image. Boxes in pixels of the image, continuous edges."""

    boxes_xyxy: Array  # (K, 4)
    scores: Array  # (K,); of a classifier its probabilities
    class_ids: Array  # (K,)
    masks: tuple[Any, ...] | None = None  # COCO run lengths
    class_map: npt.NDArray[np.uint8] | None = None  # (H, W)


@dataclass(frozen=True)
class Reference:
    """A results file and the images that it is of."""

    framework: str
    digest: str
    images: Mapping[Path, Answer]
    labels: Mapping[int, str]  # class id -> label, where the file has labels
    numbered: bool = False  # class ids are COCO's category ids

    def numberings(self, count: int) -> list["Reference"]:
        """With category ids read as class ids: from 0, from 1, or by COCO's 91; those that `count` classes allow."""
        if not self.numbered:
            return [self]
        ids = sorted({int(i) for answer in self.images.values() for i in answer.class_ids})
        tables: list[Mapping[int, int]] = [{i: i for i in ids}, {i: i - 1 for i in ids}]
        if count == len(COCO_91):
            tables.append({category: i for i, category in enumerate(COCO_91)})
        return [self._numbered(table) for table in tables if all(0 <= table.get(i, -1) < count for i in ids)]

    def _numbered(self, table: Mapping[int, int]) -> "Reference":
        images = {
            path: replace(answer, class_ids=np.array([table[int(i)] for i in answer.class_ids], np.int64))
            for path, answer in self.images.items()
        }
        return replace(self, images=images, numbered=False)


def read_reference(path: Path, folder: Path, *, framework: str = "", labels: Sequence[str] | None = None) -> Reference:
    """Read a results file.

    Args:
        path: JSON of Foveal entries (as `foveal predict` writes them: lines, a list, or {"framework", "entries"});
            COCO results (image_id: the file's stem, or its number); CSV `file_name,label,label,…` of probabilities; or
            a folder of PNG class maps, named as the images.
        folder: of the images.
        framework: what made it, if the file does not say.
        labels: class id -> label, of the model, if known: answers with a label are matched by it.

    Raises:
        BadData: not readable, or of images that are not there; what was expected is said.
    """
    if path.is_dir():
        return _class_maps(path, folder, framework)
    text = read_text(path)
    digest, numbered = hashlib.sha256(path.read_bytes()).hexdigest(), False
    if path.suffix.lower() == ".csv":
        answers, names = _from_csv(path, text, labels)
    else:
        loaded = _json(path, text)
        if isinstance(loaded, dict) and "entries" in loaded:
            framework = framework or str(loaded.get("framework", ""))
            loaded = loaded["entries"]
        rows = loaded if isinstance(loaded, list) else [loaded]
        numbered = bool(rows) and isinstance(rows[0], dict) and "bbox" in rows[0]
        read = _from_coco if numbered else _from_entries
        try:
            answers, names = read(rows, labels)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise BadData(
                f"{path.name}: expected Foveal entries or COCO results: {type(error).__name__} {error}"
            ) from None
    if not answers:
        raise BadData(f"{path.name}: expected answers to images, got none")
    return Reference(framework or "its own framework", digest, _with_files(answers, folder, path.name), names, numbered)


def image_files(folder: Path) -> list[Path]:
    """Images of a folder, in order.

    Raises:
        BadData: there are none.
    """
    found = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise BadData(f"{folder}: expected a folder with images")
    return found


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise BadData(f"{path.name}: expected JSON, or JSON lines: {error}") from None


def _with_files(answers: Mapping[str, Answer], folder: Path, name: str) -> dict[Path, Answer]:
    """Answers by file: by name, by stem, or by the number that the stem is."""
    files = image_files(folder)
    by_key: dict[str, Path] = {}
    for path in reversed(files):
        number = path.stem.lstrip("0")
        by_key |= {number: path} if number.isdigit() else {}
        by_key |= {path.stem: path, path.name: path, path.relative_to(folder).as_posix(): path}
    found = {}
    for key, answer in answers.items():
        file = by_key.get(key) or by_key.get(Path(key).name) or by_key.get(Path(key).stem)
        if file is None:
            raise BadData(f"{name}: has an answer to {key!r}, which is not in {folder}")
        found[file] = answer
    return found


def _from_entries(rows: Sequence[Any], labels: Sequence[str] | None) -> tuple[dict[str, Answer], dict[int, str]]:
    answers: dict[str, Answer] = {}
    names: dict[int, str] = {}
    for row in rows:
        objects = row.get("detections", row.get("classes", []))
        ids = [_class_id(item, labels) for item in objects]
        names |= {i: str(item["label"]) for i, item in zip(ids, objects, strict=True) if "label" in item}
        size = (int(row["image"].get("height", 0)), int(row["image"].get("width", 0)))
        mask = row.get("segmentation", {}).get("mask")
        answers[str(row["image"]["name"])] = Answer(
            np.array([item.get("box", (0, 0, 0, 0)) for item in objects], np.float64).reshape(-1, 4),
            np.array([item["score"] for item in objects], np.float64),
            np.array(ids, np.int64),
            tuple(item["mask"] for item in objects) if objects and all("mask" in item for item in objects) else None,
            class_map.decode(mask, size) if mask else None,
        )
    return answers, names


def _class_id(item: Mapping[str, Any], labels: Sequence[str] | None) -> int:
    if labels is not None and item.get("label") in labels:
        return list(labels).index(item["label"])
    return int(item["class_id"])


def _from_coco(rows: Sequence[Any], _: Sequence[str] | None) -> tuple[dict[str, Answer], dict[int, str]]:
    """COCO results, with the category ids as they are: `numberings` says what they may be.

    `file_name` may stand in place of `image_id`.
    """
    grouped: dict[str, list[tuple[Any, int]]] = defaultdict(list)
    for row in rows:
        grouped[str(row["image_id"] if "image_id" in row else row["file_name"])].append((row, int(row["category_id"])))
    answers = {}
    for image, pairs in grouped.items():
        boxes = np.array([row["bbox"] for row, _ in pairs], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = tuple(row["segmentation"] for row, _ in pairs) if "segmentation" in pairs[0][0] else None
        scores = np.array([row["score"] for row, _ in pairs], np.float64)
        answers[image] = Answer(boxes, scores, np.array([category for _, category in pairs], np.int64), masks)
    return answers, {}


def _from_csv(path: Path, text: str, labels: Sequence[str] | None) -> tuple[dict[str, Answer], dict[int, str]]:
    rows = list(csv.reader(text.splitlines()))
    header = rows[0] if rows else []
    if len(header) < 3:
        raise BadData(
            f"{path.name}: expected the columns file_name and one for each label, got {','.join(header)!r:.80}"
        )
    names = [name.strip() for name in header[1:]]
    known = labels is not None and set(names) == set(labels) and len(set(names)) == len(names)
    ids = np.array([list(labels or ()).index(name) if known else i for i, name in enumerate(names)], np.int64)
    answers = {}
    for number, row in enumerate(rows[1:], 2):
        try:
            values = np.array([float(value) for value in row[1:]], np.float64)
        except ValueError as error:
            raise BadData(f"{path.name}, line {number}: expected probabilities: {error}") from None
        if len(values) != len(names):
            raise BadData(f"{path.name}, line {number}: expected {len(names)} probabilities, got {len(values)}")
        answers[row[0].strip()] = Answer(np.zeros((len(ids), 4)), values, ids)
    return answers, dict(zip(ids.tolist(), names, strict=True))


def _class_maps(path: Path, folder: Path, framework: str) -> Reference:
    digest, answers = hashlib.sha256(), {}
    for file in sorted(path.glob("*.png")):
        content = file.read_bytes()
        digest.update(file.name.encode() + content)
        none = np.zeros(0)
        answers[file.stem] = Answer(none.reshape(0, 4), none, none, class_map=class_map.from_png(content))
    if not answers:
        raise BadData(f"{path}: expected PNG class maps, named as the images")
    images = _with_files(answers, folder, path.name)
    return Reference(framework or "its own framework", digest.hexdigest(), images, {})


def mask_of(value: Any, image_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A mask of an answer, as COCO's run lengths (compressed or not) or polygons, -> (H, W) uint8 of 0 and 1.

    Raises:
        BadData: none of these.
    """
    if isinstance(value, dict) and isinstance(value.get("counts"), list):
        value = coco_mask.frPyObjects(value, *image_hw)
    if isinstance(value, list):
        value = coco_mask.merge(coco_mask.frPyObjects(value, *image_hw))
    if not isinstance(value, dict) or "counts" not in value:
        raise BadData(f"segmentation: expected COCO's run lengths or polygons, got {str(value)[:80]}")
    found: npt.NDArray[np.uint8] = coco_mask.decode({"size": value["size"], "counts": value["counts"]})
    return found
