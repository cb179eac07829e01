"""Lists of classes beside masks (`find_class_list`), as annotation tools and published data sets write them."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.models.data.dataset import listed
from foveal.models.reading.data_folder import normalized
from foveal.models.segmentation.layouts.mask_files import Encoding, packed
from foveal.models.segmentation.layouts.truth import MAX_CLASSES
from foveal.text_files import read_text

FILES = (  # the first that is there counts
    *("classes.txt", "labelmap.txt", "label_map.txt", "class_names.txt", "labels.txt", "names.txt", "codes.txt"),
    *("label_colors.txt", "class_dict.csv", "_classes.csv", "classes.csv", "objectinfo150.txt"),
    *("classes.json", "labelmap.json", "label_map.json", "labels.json", "id2label.json"),
)
BOUNDARY = packed(224, 224, 192)  # between objects, in VOC's colours: no class
# https://www.robots.ox.ac.uk/~vgg/projects/pascal/VOC/voc2012/segexamples/: its development kit has no list
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
# https://github.com/mcordts/cityscapesScripts, helpers/labels.py: the 19 classes that are scored, by their file ids
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)


@dataclass(frozen=True)
class ClassList:
    """Names, and the values and colours of masks that stand for them."""

    where: str  # the file's name, or the convention that has no file
    names: tuple[str, ...]
    values: Mapping[int, int] | None = None  # value -> index of the name, or IGNORE; None: the index itself
    colours: Mapping[int, int] = field(default_factory=dict)  # packed colour -> index

    def encoding(self, extra: Mapping[int, int] | None = None) -> Encoding:
        """For masks with these classes; 255 is IGNORE unless it is a class."""
        values = {i: i for i in range(len(self.names))} if self.values is None else dict(self.values)
        colours = {BOUNDARY: IGNORE, **self.colours} if self.colours else {v * 0x010101: i for v, i in values.items()}
        ignored = {} if self.colours else {IGNORE * 0x010101: IGNORE}
        more = dict(extra or {})
        grey = {} if self.colours else {value * 0x010101: one for value, one in more.items() if value < 256}
        return Encoding({IGNORE: IGNORE, **values, **more}, {**ignored, **colours, **grey})


def find_class_list(folders: Sequence[Path]) -> ClassList | None:
    """The list in the first of the folders that has one.

    Raises:
        BadData: it cannot be read; the file is named.
    """
    for folder in folders:
        names = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
        for name in FILES:
            if name in names:
                return read_class_list(names[name])
    return None


def read_class_list(path: Path) -> ClassList:
    """A list of classes, in any of the ways of FILES."""
    text = read_text(path)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if path.suffix.lower() == ".json":
        found = _from_json(path, text)
    elif path.suffix.lower() == ".csv":
        found = _from_table(path, lines)
    else:
        found = _from_lines(path, lines)
    if not 0 < len(found.names) <= MAX_CLASSES:
        raise BadData(f"{path}: expected 1 to {MAX_CLASSES} classes, got {len(found.names)}")
    return found


def _from_lines(path: Path, lines: Sequence[str]) -> ClassList:
    """One name a line; CVAT's `name:r,g,b::`; CamVid's `r g b name`; `3 name`; ADE20K's table."""
    if lines and re.match(r"(?i)idx\b.*\bname$", lines[0]):
        rows = [line.split("\t") for line in lines[1:]]
        numbered = [(int(row[0]), row[-1]) for row in rows if row[0].isdecimal()]
        return _by_value(path, [*numbered], ignored=(0,))
    if found := [re.fullmatch(r"([^:]*):(\d+)\s*,\s*(\d+)\s*,\s*(\d+):.*", line) for line in lines]:
        if all(found):
            return _coloured(path, [(m[1], (m[2], m[3], m[4])) for m in found if m])
        if any(found):
            raise BadData(f"{path}: expected name:red,green,blue:: on every line, got {_first_odd(lines, found)}")
    if lines and all(line.count(":") == 3 for line in lines):  # CVAT without colours: `name:::`
        return ClassList(path.name, tuple(normalized(line.partition(":")[0].strip()) for line in lines))
    coloured = [re.fullmatch(r"(\d+)\s+(\d+)\s+(\d+)\s+(\S.*)", line) for line in lines]
    if lines and all(coloured):
        return _coloured(path, [(m[4], (m[1], m[2], m[3])) for m in coloured if m])
    numbers = [re.fullmatch(r"(\d+)\s*[:,;=\s]\s*(\S.*)", line) for line in lines]
    if lines and all(numbers):
        return _by_value(path, [(int(m[1]), m[2]) for m in numbers if m])
    return ClassList(path.name, tuple(map(normalized, lines)))


def _first_odd(lines: Sequence[str], found: Sequence[object]) -> str:
    return next(repr(line[:80]) for line, match in zip(lines, found, strict=True) if match is None)


def _from_table(path: Path, lines: Sequence[str]) -> ClassList:
    """CSV with a header: `name,r,g,b`, or Roboflow's `Pixel Value, Class`, or one column of names."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    header, body = ([cell.lower() for cell in rows[0]], rows[1:]) if rows else ([], [])
    if odd := [row for row in body if len(row) != len(header)]:
        raise BadData(f"{path}: expected {len(header)} cells a line, got {odd[0]}")
    names = next((i for i, cell in enumerate(header) if cell in ("name", "class", "label", "class_name")), None)
    if names is None:
        raise BadData(f"{path}: expected a column name or class, got {listed(header)}")
    for keys in (("r", "g", "b"), ("red", "green", "blue")):
        if set(keys) <= set(header):
            places = [header.index(key) for key in keys]
            return _coloured(path, [(row[names], tuple(row[i] for i in places)) for row in body])
    numbers = next((i for i, cell in enumerate(header) if cell in ("pixel value", "value", "id", "pixel_value")), None)
    if numbers is None:
        return ClassList(path.name, tuple(normalized(row[names]) for row in body))
    if wrong := [row for row in body if not row[numbers].isdecimal()]:
        raise BadData(f"{path}: expected a whole number as {header[numbers]}, got {wrong[0]}")
    return _by_value(path, [(int(row[numbers]), row[names]) for row in body])


def _from_json(path: Path, text: str) -> ClassList:
    """A list of names; {"0": "name"}; {"name": 0}; or {"categories": [{"id": 0, "name": "name"}]}."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path}: expected JSON: {error}") from None
    if isinstance(document, dict) and isinstance(document.get("categories"), list):
        document = document["categories"]
    try:
        if isinstance(document, list) and all(isinstance(row, dict) for row in document) and document:
            return _by_value(path, [(int(row["id"]), str(row["name"])) for row in document])
        if isinstance(document, list):
            return ClassList(path.name, tuple(normalized(str(name)) for name in document))
        pairs = [(int(k), str(v)) if str(k).isdecimal() else (int(v), str(k)) for k, v in document.items()]
        return _by_value(path, pairs)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        expected = 'a list of names, {"0": "name"} or {"name": 0}'
        raise BadData(f"{path}: expected {expected}: {type(error).__name__}: {error}") from None


def _by_value(path: Path, pairs: Iterable[tuple[int, str]], ignored: Iterable[int] = ()) -> ClassList:
    rows = sorted(pairs)
    if len({value for value, _ in rows}) < len(rows):
        raise BadData(f"{path}: expected a number once, got {listed([str(value) for value, _ in rows])}")
    kept = [(value, name) for value, name in rows if value != IGNORE]
    values = {value: i for i, (value, _) in enumerate(kept)} | dict.fromkeys(ignored, IGNORE)
    return ClassList(path.name, tuple(normalized(name.strip()) for _, name in kept), values)


def _coloured(path: Path, rows: Iterable[tuple[str, Sequence[str]]]) -> ClassList:
    names: list[str] = []
    colours: dict[int, int] = {}
    for name, rgb in rows:
        if not all(part.strip().isdecimal() and int(part) < 256 for part in rgb):
            raise BadData(f"{path}: expected red, green and blue of 0 to 255, got {list(rgb)} for {name!r}")
        colour = packed(*(int(part) for part in rgb))
        if colour in colours:
            raise BadData(
                f"{path}: expected a colour once, got {list(rgb)} for {names[colours[colour]]!r} and {name!r}"
            )
        colours[colour] = len(names)
        names.append(normalized(name.strip()))
    return ClassList(path.name, tuple(names), None, colours)


def conventional(stems: Iterable[str], values: set[int], *, voc: bool) -> ClassList | None:
    """The classes of a published data set that has no list of them: VOC's, or Cityscapes'."""
    ends = {stem.lower().rpartition("_")[2] for stem in stems}
    if ends == {"labelids"}:
        inside = {value: i for i, value in enumerate(CITYSCAPES_IDS)}
        return ClassList("Cityscapes", CITYSCAPES, {value: inside.get(value, IGNORE) for value in range(34)})
    if ends == {"labeltrainids"}:
        return ClassList("Cityscapes", CITYSCAPES)
    if voc and values <= {*range(len(VOC)), IGNORE}:
        return ClassList("Pascal VOC", VOC)
    return None
