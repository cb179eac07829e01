"""COCO JSON (https://cocodataset.org/#format-data): boxes, polygons, compressed and uncompressed run lengths.

Any number of files, anywhere in the folder: one, one a split (`instances_val2017.json`, `val/_annotations.coco.json`)
or one a subset. Captions and panoptic files are something else; keypoints count only where no file has instances.
An image is looked for beside the file and in the folders of its split, then anywhere by the end of its path.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.layouts.outlines import read_segmentation
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with, parse_json
from foveal.models.reading.fields import BadField, class_name, flag, identity, number, numbers, shown
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import TRAINVAL, split_within
from foveal.text_files import read_text

Row = dict[str, Any]
Id = int | str
_SECOND_CHOICE = re.compile(r"keypoints|stuff|captions|panoptic", re.IGNORECASE)


@dataclass(frozen=True)
class _Document:
    """One file of annotations."""

    path: Path
    where: str  # its name in the data set
    images: list[Row]
    annotations: list[Row]
    categories: list[Row]
    split: str | None


def read_coco(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in the order of category ids.

    Raises:
        BadData: a file that is meant to be COCO JSON and is none.
    """
    documents = _chosen(list(_documents(folder)))
    if not documents:
        return None
    assembly = Assembly(folder, recipe)
    labels: dict[str, tuple[bool, Any]] = {}
    used = _used(documents)
    for document in documents:
        label_of = _labels(document, used, assembly)
        _read(document, label_of, assembly)
        for category, label in label_of.items():
            labels.setdefault(label, (isinstance(category, str), category))
    return assembly.reading("COCO JSON", sorted(labels, key=lambda label: labels[label]))


def _documents(folder: DataFolder) -> Iterator[_Document]:
    """JSON files that are COCO data sets."""
    for path in files_with(folder, ".json"):
        try:
            text = read_text(path)
        except BadData:
            continue  # in no encoding that we know: `unread` tells, if nothing else is found
        if '"images"' not in text or '"annotations"' not in text:
            continue
        document = parse_json(text, path)
        if not isinstance(document, dict) or not {"images", "annotations", "categories"} <= document.keys():
            continue
        images, annotations, categories = (document[name] for name in ("images", "annotations", "categories"))
        for name, rows in (("images", images), ("annotations", annotations), ("categories", categories)):
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise BadData(f"{path}: {name}: expected a list of objects, got {shown(rows)}")
        if not any("segments_info" in row for row in annotations[:1]):
            yield _Document(path, folder.name_of(path), images, annotations, categories, _split(path, folder))


def _split(path: Path, folder: DataFolder) -> str | None:
    """The split that the file, or else a folder above it, is named after."""
    parts = path.relative_to(folder.base).parts
    return next((split for part in (path.stem, *parts[-2::-1]) if (split := split_within(part))), None)


def _chosen(documents: list[_Document]) -> list[_Document]:
    """Without the files that say the same again: keypoints beside instances, trainval beside train and val."""
    first = [one for one in documents if not _SECOND_CHOICE.search(one.path.stem)] or documents
    splits = {one.split for one in first}
    return [one for one in first if one.split != TRAINVAL] if {"train", "val", TRAINVAL} <= splits else first


def _used(documents: list[_Document]) -> set[tuple[str, str]]:
    """Id and name of the categories that have objects, in any of the files."""
    used = set()
    for document in documents:
        ids = {str(row.get("category_id")) for row in document.annotations}
        used |= {_key(row) for row in document.categories if str(row.get("id")) in ids}
    return used


def _key(category: Row) -> tuple[str, str]:
    return str(category.get("id")), str(category.get("name"))


def _labels(document: _Document, used: set[tuple[str, str]], assembly: Assembly) -> dict[Id, str]:
    """Category id -> label.

    Roboflow writes the project as category 0, without objects and above all others: it is no label.
    """
    grouped = any(row.get("supercategory") not in (None, "", "none") for row in document.categories)
    label_of: dict[Id, str] = {}
    for row in document.categories:
        if grouped and row.get("supercategory") == "none" and str(row.get("id")) == "0" and _key(row) not in used:
            continue
        where = f"{document.where}, category {shown(row.get('id'))}"
        try:
            category, label = identity(row.get("id"), "id"), class_name(row.get("name"))
        except BadField as error:
            assembly.refused(where, error)
            continue
        if label_of.get(category, label) != label:
            assembly.odd("unreadable annotation", where, f"id: two names, {label_of[category]!r} and {label!r}")
        elif category not in label_of and label in label_of.values():
            assembly.odd("label twice", where, repr(label))
        label_of.setdefault(category, label)
    return label_of


def _read(document: _Document, label_of: dict[Id, str], assembly: Assembly) -> None:
    found = _images(document, assembly)
    objects: dict[Id, list[Object]] = {}
    for place, row in enumerate(document.annotations):
        where = f"{document.where}, annotation {shown(row['id']) if 'id' in row else f'[{place}]'}"
        try:
            image = identity(row.get("image_id"), "image_id")
            if image not in found:
                assembly.odd("unknown image", where, f"image_id {shown(row.get('image_id'))}")
                continue
            category = identity(row.get("category_id"), "category_id")
            if category not in label_of:
                assembly.odd("unknown label", where, f"category_id {shown(row.get('category_id'))}")
                continue
            objects.setdefault(image, []).append(_object(row, where, label_of[category]))
        except BadField as error:
            assembly.refused(where, error)
    for image, (path, row) in found.items():
        if path is not None:
            where = f"{document.where}, image {shown(row.get('id'))}"
            mine = tuple(objects.get(image, ()))
            assembly.add(Annotated(path, mine, where, document.split, _stated_hw(row)))


def _images(document: _Document, assembly: Assembly) -> dict[Id, tuple[Path | None, Row]]:
    """Image id -> file, None where it is not there."""
    base, parent = assembly.folder.base, document.path.parent
    folders = [parent, *_split_folders(document, assembly.folder), parent / "images", base, base / "images"]
    found: dict[Id, tuple[Path | None, Row]] = {}
    for row in document.images:
        where = f"{document.where}, image {shown(row.get('id'))}"
        try:
            image, name = identity(row.get("id"), "id"), row.get("file_name")
            if not isinstance(name, str) or not name.strip():
                raise BadField(f"file_name: expected the name of an image, got {shown(name)}")
        except BadField as error:
            assembly.refused(where, error)
            continue
        if image in found and found[image][1].get("file_name") == name:
            continue
        if image in found:
            assembly.odd("image id twice", where, f"{shown(found[image][1].get('file_name'))} and {shown(name)}")
            continue
        found[image] = assembly.image(name, where, folders, document.split), row
    return found


def _split_folders(document: _Document, folder: DataFolder) -> list[Path]:
    """Folders of images that are named after the document's split."""
    if document.split is None:
        return []
    parents = dict.fromkeys(path.parent for path in folder.listing.images)
    return [parent for parent in parents if split_within(parent.name) == document.split]


def _object(row: Row, where: str, label: str) -> Object:
    outline = read_segmentation(row.get("segmentation"))
    box = None
    if row.get("bbox") is not None or outline is None:
        x, y, width, height = numbers(row.get("bbox"), "bbox", 4)
        box = (x, y, x + width, y + height)
    try:
        area = number(row.get("area"), "area")
    except BadField:  # scoring by size takes the mask's or the box's then
        area = None
    return Object(where, label, box, outline, flag(row.get("iscrowd")), area if area is None or area >= 0 else None)


def _stated_hw(row: Row) -> tuple[int, int] | None:
    try:
        return int(number(row.get("height"), "height")), int(number(row.get("width"), "width"))
    except BadField:
        return None
