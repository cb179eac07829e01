"""Classification by a table (`read_table`): CSV, or Hugging Face's metadata.jsonl, a file name and a label a row."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foveal.errors import BadData
from foveal.imaging.image_files import is_image_name, visible_files
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import Sample
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_of, split_within
from foveal.text_files import read_text

NAME = "a table of file names and labels"
FILE = (
    *("filename", "file_name", "file", "image", "image_name", "image_path", "filepath", "file_path", "path", "img"),
    *("image_id", "imageid", "id_code", "id", "name"),
)
LABEL = (
    "label",
    "label_name",
    "class",
    "class_name",
    "classname",
    "category",
    "target",
    "diagnosis",
    "breed",
    "species",
)
SPLIT = ("split", "set", "subset", "partition", "fold_name", "data set", "dataset")
NOT_CLASSES = ("xmin", "x_min", "x1", "bbox", "encodedpixels", "rle", "segmentation", "region_shape_attributes")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    where: str  # file and line
    file: str
    label: str
    split: str | None


def read_table(folder: DataFolder, _: ClassificationRecipe) -> Reading[int] | None:
    """Read the layout, or None when no table names at least half of its files rightly."""
    tables = [path for path in visible_files(folder.base) if path.suffix.lower() in (".csv", ".jsonl", ".tsv")]
    tables = [path for path in tables if len(path.relative_to(folder.base).parts) <= 2]
    parsed = {path: rows for path in sorted(tables) if (rows := list(_rows(path)))}
    images = _Images(folder)
    found = {path: [(row, images.find(path, row)) for row in rows] for path, rows in parsed.items()}
    found = {path: rows for path, rows in found.items() if 2 * sum(image is not None for _, image in rows) >= len(rows)}
    if not found:
        return None
    several = len(found) > 1
    return _reading(
        folder, [(row, image, _split(path, row, several)) for path, rows in found.items() for row, image in rows]
    )


def _split(path: Path, row: Row, several: bool) -> str | None:
    """The row's own, else the table's: of its name, or of its folder."""
    if row.split is not None:
        return split_of(row.split)
    return (split_within(path.stem) or split_within(path.parent.name)) if several else None


def _reading(folder: DataFolder, rows: Sequence[tuple[Row, Path | None, str | None]]) -> Reading[int] | None:
    findings, label_of, split_by_name = [], dict[Path, str](), dict[str, str]()
    for row, image, split in rows:
        if image is None:
            findings.append(Finding("missing image", row.where, row.file))
        elif not row.label:
            findings.append(Finding("no class name", row.where, row.file))
        elif label_of.setdefault(image, row.label) != row.label:
            findings.append(Finding("image twice", row.where, f"{row.file}: {label_of[image]!r} and {row.label!r}"))
        if image is not None and split is not None:
            split_by_name[folder.name_of(image)] = split
    labels = tuple(sorted(set(label_of.values())))
    if len(labels) < 2:
        return None
    findings += [
        Finding("left out", folder.name_of(image), "in no table")
        for image in folder.listing.images
        if image not in label_of
    ]
    samples = [Sample(folder.name_of(image), image, labels.index(label)) for image, label in label_of.items()]
    return Reading(NAME, labels, tuple(sorted(samples, key=lambda s: s.name)), split_by_name, tuple(findings))


class _Images:
    """Images by what tables call them: a path, a name, or a name without its suffix."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._by_stem: dict[str, list[Path]] = {}
        for image in folder.listing.images:
            self._by_stem.setdefault(normalized(image.stem), []).append(image)
        self._folders = sorted({image.parent for image in folder.listing.images})

    def find(self, table: Path, row: Row) -> Path | None:
        split = split_within(table.stem)
        likely = [table.parent, *(p for p in self._folders if split and split_within(p.name) == split), *self._folders]
        if is_image_name(row.file):
            return self._folder.find(row.file, likely)
        stems = self._by_stem.get(normalized(row.file.strip()), [])
        return next((image for place in likely for image in stems if image.parent == place), None)


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a table of classes; none for any other table."""
    if "submission" in path.stem.lower():  # Kaggle's examples of answers hold labels that are none
        return
    records = _json_lines(path) if path.suffix.lower() == ".jsonl" else _records(path)
    for number, record in records:
        where = f"{path.name}, line {number}"
        keys = {key.strip().lower(): key for key in record}
        if any(key in keys for key in NOT_CLASSES):
            return
        file = next((keys[key] for key in FILE if key in keys), None)
        label = next((keys[key] for key in LABEL if key in keys), None)
        split = next((keys[key] for key in SPLIT if key in keys), None)
        if file is None:
            return
        if label is not None:
            text = normalized(str(record[label]).strip())
        elif (marked := _one_hot(record, {file, split or file}, where)) is not None:
            text = marked
        else:
            return
        yield Row(where, str(record[file]), text, str(record[split]) if split else None)


def _one_hot(record: Mapping[str, object], known: set[str], where: str) -> str | None:
    """The column that holds 1 where all others hold 0, as Roboflow's `_classes.csv` writes; None: another table."""
    cells = {key.strip(): str(value).strip() for key, value in record.items() if key not in known}
    if len(cells) < 2 or not all(value in ("0", "1", "0.0", "1.0") for value in cells.values()):
        return None
    marked = [key for key, value in cells.items() if value in ("1", "1.0")]
    if len(marked) > 1:
        raise BadData(f"{where}: expected one class an image, got {', '.join(marked)}")
    return normalized(marked[0]) if marked else ""


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    lines = read_text(path).splitlines()
    if not lines:
        return
    delimiter = max(",;\t", key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise BadData(f"{path}: expected CSV: {error}") from None
    header, first = rows[0], 1
    if len(header) == 2 and is_image_name(header[0].strip()):  # no header: name, label
        header, first = ["filename", "label"], 0
    for number, row in enumerate(rows[first:], first + 1):
        if len(row) == len(header):
            yield number, dict(zip(header, row, strict=True))
        elif row and {cell.strip().lower() for cell in header} & {*LABEL} and {c.lower() for c in header} & {*FILE}:
            raise BadData(f"{path}, line {number}: expected {len(header)} cells, got {len(row)}")


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            raise BadData(f"{path}, line {number}: expected JSON: {error}") from None
        if isinstance(record, dict) and record:
            yield number, record
