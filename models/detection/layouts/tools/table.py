"""Tables of boxes: a .csv with an image, four edges in pixels and a class a line.

Roboflow's `_annotations.csv` (TensorFlow), Kaggle's tables, keras-retinanet's without a header. A table without a
column of classes has one class, which the recipe names (`instance_label`).
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with
from foveal.models.reading.fields import BadField, class_name, number
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_within
from foveal.text_files import read_text

COLUMNS: Mapping[str, Sequence[str]] = {  # what a column holds -> its names, in lower case without _ and blanks
    "image": ("filename", "image", "imagename", "imageid", "imagepath", "file", "path", "img", "imgname"),
    "x1": ("xmin", "x1", "left", "xtl", "bboxxmin"),
    "y1": ("ymin", "y1", "top", "ytl", "bboxymin"),
    "x2": ("xmax", "x2", "right", "xbr", "bboxxmax"),
    "y2": ("ymax", "y2", "bottom", "ybr", "bboxymax"),
    "class": ("class", "label", "labels", "classname", "category", "name", "labelname"),
    "width": ("width", "imagewidth"),
    "height": ("height", "imageheight"),
}
NEEDED = ("image", "x1", "y1", "x2", "y2")


def read_table(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in alphabetical order."""
    assembly = Assembly(folder, recipe)
    tables = list(_tables(folder))
    if not tables:
        return None
    labels: set[str] = set()
    for path, place_of, lines in tables:
        objects: dict[str, list[Object]] = {}
        where_of: dict[str, str] = {}
        size_of: dict[str, tuple[int, int] | None] = {}
        for number_, row in lines:
            where = f"{folder.name_of(path)}, line {number_}"
            value = {what: row[place].strip() for what, place in place_of.items() if place < len(row)}
            name = value.get("image", "")
            where_of.setdefault(name, where)
            size_of.setdefault(name, _size(value))
            mine = objects.setdefault(name, [])
            if not any(value.get(edge) for edge in NEEDED[1:]):
                continue  # an image without objects
            try:
                label = class_name(value.get("class")) if "class" in place_of else recipe.instance_label
                x1, y1, x2, y2 = (number(value.get(edge), edge) for edge in NEEDED[1:])
                mine.append(Object(where, label, (x1, y1, x2, y2)))
                labels.add(label)
            except BadField as error:
                assembly.refused(where, error)
        split = split_within(path.stem)
        folders = [path.parent, path.parent / "images", folder.base]
        for name, found in objects.items():
            image = _image(name, where_of[name], folders, split, assembly)
            if image is not None:
                assembly.add(Annotated(image, tuple(found), where_of[name], split, size_of[name]))
    return assembly.reading("table of boxes", sorted(labels))


def _image(name: str, where: str, folders: Sequence[Path], split: str | None, assembly: Assembly) -> Path | None:
    """The image of that name, or of that stem where the table leaves the suffix out."""
    if not Path(name).suffix and name:
        try:
            if found := assembly.folder.beside(folders[0] / f"{name}.csv", ("images", "train"), split):
                return found
        except BadData as error:
            assembly.odd("missing image", where, str(error))
            return None
    return assembly.image(name, where, folders, split)


def _tables(folder: DataFolder) -> Iterator[tuple[Path, dict[str, int], list[tuple[int, list[str]]]]]:
    """Path, column -> place, and the lines with their numbers."""
    for path in files_with(folder, ".csv"):
        try:
            text = read_text(path)
            dialect = ";" if text.split("\n", 1)[0].count(";") >= 4 else ","
            rows = [(i, row) for i, row in enumerate(csv.reader(text.splitlines(), delimiter=dialect), 1) if row]
        except (BadData, csv.Error):
            continue
        if not rows:
            continue
        header = [name.strip().lower().replace("_", "").replace(" ", "") for name in rows[0][1]]
        place_of = {
            what: place
            for what, names in COLUMNS.items()
            for place, name in reversed(list(enumerate(header)))
            if name in names
        }
        if all(column in place_of for column in NEEDED):
            yield path, place_of, rows[1:]
        elif len(header) == 6 and all(_is_edge(word) for word in header[1:5]) and not _is_edge(header[0]):
            yield path, {what: i for i, what in enumerate((*NEEDED, "class"))}, rows


def _is_edge(word: str) -> bool:
    try:
        return not word or float(word) >= 0
    except ValueError:
        return False


def _size(value: Mapping[str, str]) -> tuple[int, int] | None:
    try:
        return int(number(value.get("height"), "height")), int(number(value.get("width"), "width"))
    except BadField:
        return None
