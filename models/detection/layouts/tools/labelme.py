"""labelme: a .json an image, beside it, with rectangles, polygons, circles and masks in pixels.

https://github.com/wkentaro/labelme; X-AnyLabeling writes it too. Shapes of one group and label are one object.
"""

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.layouts.outlines import Polygons, polygons, runs_of
from foveal.models.detection.layouts.tools.shapes import ellipse
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with, parse_json
from foveal.models.reading.fields import BadField, class_name, number, numbers, shown
from foveal.models.reading.reader import Reading
from foveal.text_files import read_text

Row = dict[str, Any]
WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in alphabetical order."""
    assembly = Assembly(folder, recipe)
    labels: set[str] = set()
    any_there = False
    for path, document in _documents(folder, assembly):
        any_there, where = True, folder.name_of(path)
        image = _image(path, document, assembly)
        if image is None:
            continue
        objects = tuple(_objects(document, where, assembly))
        labels |= {one.label for one in objects}
        assembly.add(Annotated(image, objects, where, stated_hw=_size(document)))
    return assembly.reading("labelme JSON", sorted(labels)) if any_there else None


def _documents(folder: DataFolder, assembly: Assembly) -> Iterator[tuple[Path, Row]]:
    broken = []
    for path in files_with(folder, ".json"):
        try:
            text = read_text(path)
            document = parse_json(text, path) if '"shapes"' in text else None
        except BadData as error:
            broken.append((path, str(error)))
            continue
        if isinstance(document, dict) and isinstance(document.get("shapes"), list):
            yield path, document
    for path, why in broken:
        assembly.odd("unreadable annotation", folder.name_of(path), why)


def _image(path: Path, document: Row, assembly: Assembly) -> Path | None:
    """What `imagePath` says, from the file on, or the image of the file's own stem."""
    stated, folder = document.get("imagePath"), assembly.folder
    try:
        found = folder.find(stated, [path.parent]) if isinstance(stated, str) else None
        found = found or folder.beside(path, ("images", "imgs"))
    except BadData as error:
        assembly.odd("missing image", folder.name_of(path), str(error))
        return None
    if found is None:
        assembly.odd("missing image", folder.name_of(path), f"imagePath {shown(stated)}")
    return found


def _size(document: Row) -> tuple[int, int] | None:
    try:
        height, width = (int(number(document.get(f"image{side}"), side)) for side in ("Height", "Width"))
    except BadField:
        return None
    return height, width


def _objects(document: Row, where: str, assembly: Assembly) -> Iterator[Object]:
    groups: dict[tuple[str, str], tuple[str, list[Any]]] = {}
    for place, shape in enumerate(document["shapes"], 1):
        here = f"{where}, shape {place}"
        try:
            if not isinstance(shape, dict):
                raise BadField(f"expected an object, got {shown(shape)}")
            label = class_name(shape.get("label"), "label")
            kind = shape.get("shape_type", "polygon")
            if kind in WITHOUT_AREA:
                assembly.odd("left out", here, f"a {kind}: neither a box nor an outline")
                continue
            one = _object(here, label, kind, shape, _size(document))
        except BadField as error:
            assembly.refused(here, error)
            continue
        if shape.get("group_id") is None or not isinstance(one.outline, Polygons):
            yield one
        else:
            _, pieces = groups.setdefault((label, shown(shape["group_id"])), (here, []))
            pieces += one.outline.pieces
    for (label, _), (here, pieces) in groups.items():
        yield Object(here, label, None, Polygons(tuple(pieces)))


def _object(where: str, label: str, kind: Any, shape: Row, image_hw: tuple[int, int] | None) -> Object:
    points = shape.get("points")
    if not isinstance(points, list):
        raise BadField(f"points: expected a list, got {shown(points)}")
    pairs = [numbers(point, f"points[{i}]", 2) for i, point in enumerate(points)]
    if kind in ("polygon", "rotation", None):
        return Object(where, label, None, polygons([[v for pair in pairs for v in pair]]))
    if kind not in ("rectangle", "circle", "mask"):
        raise BadField(f"shape_type: expected rectangle, polygon, circle or mask, got {shown(kind)}")
    if kind == "rectangle" and len(pairs) == 4:  # X-AnyLabeling writes all corners
        pairs = [[min(v) for v in zip(*pairs, strict=True)], [max(v) for v in zip(*pairs, strict=True)]]
    if len(pairs) != 2:
        raise BadField(f"points: expected two for a {kind}, got {len(pairs)}")
    (ax, ay), (bx, by) = pairs
    if kind == "circle":
        radius = float(np.hypot(bx - ax, by - ay))
        return Object(where, label, None, polygons([ellipse(ax, ay, radius, radius)]))
    box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))  # drawn from any corner
    if kind == "rectangle":
        return Object(where, label, box)
    if image_hw is None or not all(0 < side <= 2**16 for side in image_hw):
        raise BadField("imageHeight, imageWidth: expected the image's size beside a mask")
    return Object(where, label, None, runs_of(_bitmap(shape.get("mask")), int(box[0]), int(box[1]), image_hw))


def _bitmap(coded: Any) -> Any:
    """(h, w) of a base64 PNG."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(str(coded), validate=True)), formats=("PNG",)) as opened:
            return np.asarray(opened.convert("L")) > 0
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadField(f"mask: expected a PNG in base64: {error}") from None
