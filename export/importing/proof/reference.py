"""References (`read_reference`): what a model's own framework answered to images, from Foveal entries, COCO or CSV."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.errors import BadReference
from foveal.export.importing.proof.results_files import Answer, check, from_coco, from_csv, from_entries
from foveal.imaging import class_map
from foveal.imaging.image_files import SUFFIXES
from foveal.text_files import read_text

Array = npt.NDArray[Any]

MAX_FRAMEWORK = 200  # characters
COCO_91 = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]  # ids of COCO's 80 classes


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
        ids = self.class_ids()
        tables: list[Mapping[int, int]] = [{i: i for i in ids}, {i: i - 1 for i in ids}]
        if count == len(COCO_91):
            tables.append({category: i for i, category in enumerate(COCO_91)})
        fitting = [table for table in tables if all(0 <= table.get(i, -1) < count for i in ids)]
        return [replace(self.renumbered(table), numbered=False) for table in fitting]

    def class_ids(self) -> list[int]:
        """All that occur, in order."""
        return sorted({int(i) for answer in self.images.values() for i in answer.class_ids})

    def renumbered(self, table: Mapping[int, int]) -> "Reference":
        """With other class ids.

        Raises:
            BadReference: a class id that the table does not have.
        """
        for path, answer in self.images.items():
            if strangers := sorted({int(i) for i in answer.class_ids} - table.keys()):
                raise BadReference(f"{path.name}: expected classes with a label, got class id {strangers[0]}")
        images = {
            path: replace(answer, class_ids=np.array([table[int(i)] for i in answer.class_ids], np.int64))
            for path, answer in self.images.items()
        }
        return replace(self, images=images)


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
        BadReference: not readable, or of images that are not there; what was expected is said.
    """
    if path.is_dir():
        return _class_maps(path, folder, framework)
    text = read_text(path)
    digest, numbered = hashlib.sha256(path.read_bytes()).hexdigest(), False
    if path.suffix.lower() == ".csv":
        answers, names = from_csv(path, text, labels)
    else:
        loaded = _json(path, text)
        if isinstance(loaded, dict) and "entries" in loaded:
            framework = framework or loaded.get("framework") or ""
            loaded = loaded["entries"]
        rows = loaded if isinstance(loaded, list) else [loaded]
        numbered = bool(rows) and isinstance(rows[0], dict) and "bbox" in rows[0]
        read = from_coco if numbered else from_entries
        answers, names = read(path.name, rows, labels)
    if not answers:
        raise BadReference(f"{path.name}: expected answers to images, got none")
    if not isinstance(framework, str) or not framework.isprintable() or len(framework) > MAX_FRAMEWORK:
        raise BadReference(f"{path.name}: framework: expected one line of text, got {str(framework)!r:.80}")
    for name, answer in answers.items():
        check(answer, f"{path.name}, {name}")
    return Reference(framework or "its own framework", digest, _with_files(answers, folder, path.name), names, numbered)


def image_files(folder: Path) -> list[Path]:
    """Images of a folder, in order.

    Raises:
        BadReference: there are none.
    """
    found = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise BadReference(f"{folder}: expected a folder with images")
    return found


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise BadReference(f"{path.name}: expected entries, got JSON nested too deeply") from None
    except ValueError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise BadReference(f"{path.name}: expected JSON, or JSON lines: {error}") from None


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
            raise BadReference(f"{name}: has an answer to {key!r}, which is not in {folder}")
        found[file] = answer
    return found


def _class_maps(path: Path, folder: Path, framework: str) -> Reference:
    digest, answers = hashlib.sha256(), {}
    for file in sorted(path.glob("*.png")):
        content = file.read_bytes()
        digest.update(file.name.encode() + content)
        none = np.zeros(0)
        answers[file.stem] = Answer(none.reshape(0, 4), none, none, class_map=class_map.from_png(content))
    if not answers:
        raise BadReference(f"{path}: expected PNG class maps, named as the images")
    images = _with_files(answers, folder, path.name)
    return Reference(framework or "its own framework", digest.hexdigest(), images, {})


def mask_of(value: Any, image_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A mask of an answer, as COCO's run lengths (compressed or not) or polygons, -> (H, W) uint8 of 0 and 1.

    Raises:
        BadReference: none of these.
    """
    if isinstance(value, dict) and isinstance(value.get("counts"), list):
        value = coco_mask.frPyObjects(value, *image_hw)
    if isinstance(value, list):
        value = coco_mask.merge(coco_mask.frPyObjects(value, *image_hw))
    if not isinstance(value, dict) or "counts" not in value or "size" not in value:
        raise BadReference(f"segmentation: expected COCO's run lengths or polygons, got {str(value)[:80]}")
    found: npt.NDArray[np.uint8] = coco_mask.decode({"size": value["size"], "counts": value["counts"]})
    return found
