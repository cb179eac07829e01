"""CVAT for images 1.1: annotations.xml with boxes, polygons, ellipses and masks of every image.

https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/; one file, or one a task. A task's subset is its split.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.layouts.outlines import Outline, polygons, runs_of
from foveal.models.detection.layouts.tools.shapes import ellipse, turned_box
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with, read_xml
from foveal.models.reading.fields import BadField, class_name, number
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_within

MAX_MASK_PIXELS = 64_000_000  # as many as an image may have


def read_cvat(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in the order of the task's list."""
    assembly = Assembly(folder, recipe)
    labels: dict[str, None] = {}
    documents = list(_documents(folder))
    for path, root in documents:
        where = folder.name_of(path)
        labels |= dict.fromkeys(name.strip() for e in root.iter("label") if (name := e.findtext("name", "")).strip())
        for item in root.iter("image"):
            here = f"{where}, image {item.get('id', '?')}"
            stated = item.get("subset")
            split = next((s for part in (stated, path.stem, path.parent.name) if (s := split_within(part or ""))), None)
            folders = [path.parent, path.parent / "images", *([path.parent / "images" / stated] if stated else [])]
            image = assembly.image(item.get("name", ""), here, folders, split)
            if image is not None:
                objects = tuple(_objects(item, here, assembly))
                assembly.add(Annotated(image, objects, here, split, _size(item)))
                labels |= dict.fromkeys(one.label for one in objects)
    return assembly.reading("CVAT XML", tuple(labels)) if documents else None


def _documents(folder: DataFolder) -> Iterator[tuple[Path, ET.Element]]:
    for path in files_with(folder, ".xml"):
        try:
            root = read_xml(path)
        except BadData:
            continue  # `unread` tells, if nothing else is found
        if root.tag == "annotations" and root.find("image") is not None:
            yield path, root


def _size(item: ET.Element) -> tuple[int, int] | None:
    try:
        return int(number(item.get("height"), "height")), int(number(item.get("width"), "width"))
    except BadField:
        return None


def _objects(item: ET.Element, where: str, assembly: Assembly) -> Iterator[Object]:
    for place, shape in enumerate(item, 1):
        here = f"{where}, {shape.tag} {place}"
        if shape.tag in ("tag", "attribute"):
            continue
        try:
            label = class_name(shape.get("label"), "label")
            if shape.tag == "box":
                x1, y1, x2, y2 = _values(shape, "xtl", "ytl", "xbr", "ybr")
                turn = number(shape.get("rotation", "0"), "rotation")
                outline = polygons([turned_box(x1, y1, x2, y2, turn)]) if turn else None
                yield Object(here, label, None if turn else (x1, y1, x2, y2), outline)
            elif shape.tag in _OUTLINES:
                yield Object(here, label, None, _OUTLINES[shape.tag](shape, _size(item)))
            else:
                assembly.odd("left out", here, f"a {shape.tag}: neither a box nor an outline")
        except BadField as error:
            assembly.refused(here, error)


def _values(shape: ET.Element, *names: str) -> tuple[float, ...]:
    return tuple(number(shape.get(name), name) for name in names)


def _polygon(shape: ET.Element, _: tuple[int, int] | None) -> Outline:
    points = [point.split(",") for point in shape.get("points", "").split(";") if point.strip()]
    if any(len(point) != 2 for point in points):
        raise BadField("points: expected x,y;x,y;…")
    return polygons([[number(v, "points") for point in points for v in point]])


def _ellipse(shape: ET.Element, _: tuple[int, int] | None) -> Outline:
    cx, cy, rx, ry = _values(shape, "cx", "cy", "rx", "ry")
    return polygons([ellipse(cx, cy, rx, ry, number(shape.get("rotation", "0"), "rotation"))])


def _mask(shape: ET.Element, image_hw: tuple[int, int] | None) -> Outline:
    """Run lengths along the rows of the mask's own box, background first."""
    left, top, width, height = (int(v) for v in _values(shape, "left", "top", "width", "height"))
    runs = np.array([number(word, "rle") for word in shape.get("rle", "").split(",")])
    if image_hw is None or width <= 0 or height <= 0 or width * height > MAX_MASK_PIXELS:
        raise BadField(f"mask: expected 1 to {MAX_MASK_PIXELS} pixels, got {width} x {height}")
    if (runs < 0).any() or (runs % 1).any() or runs.sum() != width * height:
        raise BadField(f"rle: expected run lengths of {width * height} pixels in all, got {runs.sum():g}")
    ones = np.arange(len(runs)) % 2 == 1
    bitmap = np.repeat(ones, runs.astype(np.int64)).reshape(height, width)
    return runs_of(bitmap, left, top, image_hw)


_OUTLINES: dict[str, Callable[[ET.Element, tuple[int, int] | None], Outline]] = {
    "polygon": _polygon,
    "ellipse": _ellipse,
    "mask": _mask,
}
