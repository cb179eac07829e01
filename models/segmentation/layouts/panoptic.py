"""COCO panoptic (https://cocodataset.org/#format-data): PNGs of segment ids, and JSON that says their classes."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.models.data.dataset import Sample, listed
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_within
from foveal.models.segmentation.layouts.mask_files import COLOUR, Scan, pixels_of, scan
from foveal.models.segmentation.layouts.truth import MAX_CLASSES, Ids, LabelMap, UInt8Array, labelled, named_twice
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.text_files import read_text

NAME = "COCO panoptic"
VOID = 0  # the id of what belongs to no segment
Row = dict[str, Any]


@dataclass(frozen=True)
class Segments(Ids):
    """The segments of one image."""

    path: Path | None  # None: missing
    class_of: Mapping[int, int]  # segment id -> class
    expected: str = ""

    def read(self) -> UInt8Array:
        """(H, W) classes."""
        for _, detail in self.faults():
            raise BadData(detail)
        assert self.path is not None
        ids = _segment_ids(*pixels_of(self.path))
        known = np.array(sorted(self.class_of), np.int64)
        classes = np.array([self.class_of[int(i)] for i in known], np.uint8)
        found: UInt8Array = classes[np.searchsorted(known, ids)]
        return found

    def describe(self) -> str:
        """sha256 of the file, and the segments."""
        content = hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path else "none"
        return f"{content} {sorted(self.class_of.items())}"

    def size(self) -> tuple[int, int] | None:
        """As the file has it."""
        found = scan(self.path) if self.path else None
        return found.image_hw if found and not found.error else None

    def faults(self) -> Iterable[tuple[str, str]]:
        """A missing file, one that cannot be read, segments that are not listed."""
        if self.path is None:
            yield "missing mask", self.expected
            return
        found = scan(self.path)
        if found.error:
            yield "unreadable annotation", f"{self.path.name}: {found.error}"
        elif unknown := [i for i in _listed_ids(found) if i not in self.class_of]:
            yield "class outside the list", f"{self.path.name}: ids that are in no segments_info: {unknown[:10]}"


def _segment_ids(kind: str, values: Any, _: object = None) -> Any:
    """R + 256 G + 65536 B of packed colours."""
    if kind != COLOUR:
        return values
    return values >> 16 | values & 0xFF00 | (values & 0xFF) << 16


def _listed_ids(found: Scan) -> Iterator[int]:
    return (int(_segment_ids(found.kind, np.int64(value))) for value in found.values)


def read_panoptic(folder: DataFolder, recipe: SegmentationRecipe) -> Reading[LabelMap] | None:
    """Read the layout, or None when it is another one.

    Raises:
        BadData: files that disagree about the categories, or lack a field.
    """
    documents = dict(_documents(folder.base))
    if not documents:
        return None
    categories = [_categories(path, document) for path, document in documents.items()]
    if any(one != categories[0] for one in categories):
        raise BadData(f"expected the same categories in {listed([p.name for p in documents])}, got different ones")
    numbers = {number: i for i, number in enumerate(categories[0])}
    names = tuple(categories[0].values())
    if not 0 < len(names) <= MAX_CLASSES:
        raise BadData(f"{next(iter(documents))}: expected 1 to {MAX_CLASSES} categories, got {len(names)}")
    samples: list[Sample[Segments]] = []
    split_of: dict[str, str] = {}
    findings = [*named_twice(names, "categories")]
    for path, document in documents.items():
        read = _samples(folder, path, document, numbers, findings)
        samples += read
        split = split_within(path.stem) if len(documents) > 1 else None
        split_of |= {sample.name: split for sample in read if split}
    return labelled(NAME, names, samples, split_of, findings, recipe)


def _documents(base: Path) -> Iterator[tuple[Path, Row]]:
    for path in sorted([*base.glob("*.json"), *(base / "annotations").glob("*.json")]):
        if path.name.startswith(".") or "panoptic" not in path.name.lower():
            continue
        try:
            document = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            raise BadData(f"{path}: expected JSON: {error}") from None
        rows = document.get("annotations") if isinstance(document, dict) else None
        if isinstance(rows, list) and any(isinstance(row, dict) and "segments_info" in row for row in rows):
            yield path, document


def _categories(path: Path, document: Row) -> dict[int, str]:
    try:
        rows = {int(row["id"]): normalized(str(row["name"]).strip()) for row in document["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{path}: categories: expected id and name: {type(error).__name__}: {error}") from None
    return dict(sorted(rows.items()))


def _samples(
    folder: DataFolder, path: Path, document: Row, numbers: Mapping[int, int], findings: list[Finding]
) -> list[Sample[Segments]]:
    samples = []
    split = split_within(path.stem)
    folders = [p for p in (path.parent, folder.base, folder.base / "images") if p.is_dir()]
    folders += [p for one in folders for p in sorted(one.iterdir()) if p.is_dir() and split_within(p.name) == split]
    masks = [p for one in (path.parent, folder.base) if (p := one / path.stem).is_dir()]
    try:
        rows = {row["image_id"]: row for row in document["annotations"]}
        for image in document["images"]:
            stated, row = str(image["file_name"]), rows.get(image["id"])
            found = folder.find(stated, [p for p in folders if p not in masks])
            if found is None:
                findings.append(Finding("missing image", path.name, stated))
                continue
            name = folder.name_of(found)
            if row is None:
                samples.append(Sample(name, found, Segments(None, {}, f"{path.name} has no annotation of it")))
                continue
            mask = folder.find(str(row["file_name"]), masks)
            class_of = {VOID: IGNORE}
            for segment in row["segments_info"]:
                if segment["category_id"] in numbers:
                    class_of[int(segment["id"])] = numbers[segment["category_id"]]
                else:
                    detail = f"segment {segment['id']}: category_id {segment['category_id']}"
                    findings.append(Finding("unknown label", name, detail))
            samples.append(Sample(name, found, Segments(mask, class_of, f"expected {row['file_name']}, got none")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadData(f"{path}: expected COCO panoptic's fields: {type(error).__name__}: {error}") from None
    return samples
