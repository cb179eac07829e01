"""Supervisely: ann/<image>.json beside img/, rectangles and polygons in pixels, splits as folders of data sets.

https://docs.supervisely.com/customization-and-integration/00_ann_format_navi
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.layouts.outlines import polygons
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with, parse_json
from foveal.models.reading.fields import BadField, class_name, number, numbers, shown
from foveal.models.reading.reader import Reading
from foveal.text_files import read_text

Row = dict[str, Any]


def read_supervisely(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in alphabetical order."""
    assembly = Assembly(folder, recipe)
    labels: set[str] = set()
    any_there = False
    for path, document in _documents(folder, assembly):
        any_there, where = True, folder.name_of(path)
        image = assembly.image(path.stem, where, [path.parent.parent / "img", path.parent])
        if image is None:
            continue
        objects = tuple(_objects(document["objects"], where, assembly))
        labels |= {one.label for one in objects}
        assembly.add(Annotated(image, objects, where, stated_hw=_size(document)))
    return assembly.reading("Supervisely JSON", sorted(labels)) if any_there else None


def _documents(folder: DataFolder, assembly: Assembly) -> Iterator[tuple[Path, Row]]:
    broken = []
    for path in files_with(folder, ".json"):
        if path.parent.name != "ann":
            continue
        try:
            document = parse_json(read_text(path), path)
        except BadData as error:
            broken.append((path, str(error)))
            continue
        if isinstance(document, dict) and isinstance(document.get("objects"), list):
            yield path, document
    for path, why in broken:
        assembly.odd("unreadable annotation", folder.name_of(path), why)


def _size(document: Row) -> tuple[int, int] | None:
    stated = document.get("size")
    try:
        sides = [number(stated[side], side) for side in ("height", "width")] if isinstance(stated, dict) else [0, 0]
    except (BadField, KeyError):
        return None
    return int(sides[0]), int(sides[1])


def _objects(rows: list[Any], where: str, assembly: Assembly) -> Iterator[Object]:
    for place, row in enumerate(rows):
        here = f"{where}, object {shown(row['id']) if isinstance(row, dict) and 'id' in row else f'[{place}]'}"
        try:
            if not isinstance(row, dict):
                raise BadField(f"expected an object, got {shown(row)}")
            label, kind = class_name(row.get("classTitle"), "classTitle"), row.get("geometryType")
            points = row.get("points")
            exterior = points.get("exterior") if isinstance(points, dict) else None
            if not isinstance(exterior, list):
                raise BadField(f"points.exterior: expected a list of points, got {shown(exterior)}")
            pairs = [numbers(point, "points.exterior", 2) for point in exterior]
            if kind == "polygon":
                yield Object(here, label, None, polygons([[v for pair in pairs for v in pair]]))
            elif kind == "rectangle" and len(pairs) == 2:
                xs, ys = zip(*pairs, strict=True)
                yield Object(here, label, (min(xs), min(ys), max(xs), max(ys)))
            else:
                raise BadField(f"geometryType: expected polygon or rectangle, got {shown(kind)}")
        except BadField as error:
            assembly.refused(here, error)
