"""Label Studio's own JSON: a list of tasks with results in percent of the image, full or as JSON-MIN.

https://labelstud.io/guide/export: rectangles, ellipses and polygons. A task that several people annotated counts once,
as its first annotation has it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.layouts.outlines import polygons
from foveal.models.detection.layouts.tools.shapes import ellipse, turned_box
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with, parse_json
from foveal.models.reading.fields import BadField, class_name, number, numbers, shown
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_within
from foveal.text_files import read_text

Row = dict[str, Any]
SHAPES = ("rectanglelabels", "ellipselabels", "polygonlabels")
UNREAD = ("brushlabels", "keypointlabels", "vectorlabels", "bitmasklabels")


def read_label_studio(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in alphabetical order: the export has no list."""
    assembly = Assembly(folder, recipe)
    labels: set[str] = set()
    documents = list(_documents(folder))
    for path, tasks in documents:
        for place, task in enumerate(tasks):
            where = f"{folder.name_of(path)}, task {shown(task.get('id', place))}"
            folders = [path.parent, path.parent / "images", folder.base]
            stated = _stated(task)
            image = assembly.image(stated, where, folders, split_within(path.stem)) if stated else None
            if not stated:
                assembly.odd("missing image", where, "expected the path of an image among the task's data")
            if image is None:
                continue
            objects = tuple(_objects(task, where, assembly))
            labels |= {one.label for one in objects}
            assembly.add(Annotated(image, objects, where, split_within(path.stem), _size(task), fractions=True))
    return assembly.reading("Label Studio JSON", sorted(labels)) if documents else None


def _documents(folder: DataFolder) -> Iterator[tuple[Path, list[Row]]]:
    for path in files_with(folder, ".json"):
        try:
            text = read_text(path)
        except BadData:
            continue
        if not any(word in text for word in ('"annotations"', *(f'"{shape}"' for shape in (*SHAPES, *UNREAD)))):
            continue
        if not text.lstrip().startswith("["):
            continue
        tasks = parse_json(text, path)
        if tasks and all(isinstance(task, dict) and ("data" in task or _results(task)) for task in tasks):
            yield path, tasks


def _stated(task: Row) -> str | None:
    """The path or URL of the image: `image`, or else the first text that looks like a path."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value.strip()}
    paths = [value for value in texts.values() if "." in value.rpartition("/")[2]]
    return texts.get("image") or texts.get("file_upload") or next(iter(paths), None)


def _results(task: Row) -> list[Row]:
    """The shapes, each with its `value`, as one list."""
    if "data" in task:
        annotations = task.get("annotations", task.get("completions")) or []
        if not isinstance(annotations, list):
            raise BadField(f"annotations: expected a list, got {shown(annotations)}")
        done = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
        results = done[0].get("result") if done else []
        if not isinstance(results, list):
            raise BadField(f"result: expected a list, got {shown(results)}")
        return [row for row in results if isinstance(row, dict) and "value" in row]
    lists = [value for value in task.values() if isinstance(value, list)]
    kinds = (*SHAPES, *UNREAD)
    return [{"value": row} for rows in lists for row in rows if isinstance(row, dict) and any(k in row for k in kinds)]


def _size(task: Row) -> tuple[int, int] | None:
    try:
        for row in _results(task):
            stated = row if "original_width" in row else row["value"]
            if isinstance(stated, dict) and "original_width" in stated:
                height, width = (number(stated.get(f"original_{side}"), side) for side in ("height", "width"))
                return int(height), int(width)
    except BadField:
        pass
    return None


def _objects(task: Row, where: str, assembly: Assembly) -> Iterator[Object]:
    try:
        results = _results(task)
    except BadField as error:
        assembly.refused(where, error)
        return
    for place, row in enumerate(results):
        value, here = row["value"], f"{where}, result {shown(row.get('id', place))}"
        if not isinstance(value, dict):
            assembly.odd("unreadable annotation", here, f"value: expected an object, got {shown(value)}")
            continue
        kind = next((kind for kind in (*SHAPES, *UNREAD) if kind in value), None)
        if kind is None:
            continue  # choices, ratings, texts, and shapes without a label
        try:
            if kind in UNREAD:
                raise BadField(f"{kind}: expected {', '.join(SHAPES)}; Label Studio's COCO export is read too")
            named = value[kind]
            label = class_name(named[0] if isinstance(named, list) and named else None, kind)
            yield _object(here, label, kind, {**row, **value})
        except BadField as error:
            assembly.refused(here, error)


def _object(where: str, label: str, kind: str, value: Row) -> Object:
    """In fractions; angles turn in pixels, so that the image's shape comes in."""
    if kind == "polygonlabels":
        points = value.get("points")
        if not isinstance(points, list):
            raise BadField(f"points: expected a list, got {shown(points)}")
        return Object(where, label, None, polygons([[v / 100 for p in points for v in numbers(p, "points", 2)]]))
    x, y = (number(value.get(name), name) / 100 for name in ("x", "y"))
    turn = number(value.get("rotation", 0), "rotation")
    names = ("width", "height") if kind == "rectanglelabels" else ("radiusX", "radiusY")
    a, b = (number(value.get(name), name) / 100 for name in names)
    if kind == "rectanglelabels" and not turn:
        return Object(where, label, (x, y, x + a, y + b))
    height, width = _shape(value)
    x, y, a, b = x * width, y * height, a * width, b * height
    if kind == "rectanglelabels":  # turned about its top left corner
        corners = turned_box(x, y, x + a, y + b, turn, about=(x, y))
    else:
        corners = ellipse(x, y, a, b, turn)
    shares = [v / (height if i % 2 else width) for i, v in enumerate(corners)]
    return Object(where, label, None, polygons([shares]))


def _shape(value: Row) -> tuple[float, float]:
    height, width = (number(value.get(f"original_{s}"), f"original_{s}") for s in ("height", "width"))
    if height <= 0 or width <= 0:
        raise BadField(f"original_width, original_height: expected the image's size, got {width:g} x {height:g}")
    return height, width
