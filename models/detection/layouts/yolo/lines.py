"""Lines of YOLO's label files (`read_lines`): boxes and outlines in fractions of the image's sides."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveal.errors import BadData
from foveal.models.detection.layouts.assembly import Assembly, Object
from foveal.models.detection.layouts.outlines import polygons
from foveal.models.reading.fields import BadField, identity, numbers, shown
from foveal.text_files import read_text

FRACTION_LIMIT = 2.0  # boxes of objects that reach out of the image stay below it, pixels do not


@dataclass
class Seen:
    """What the lines of a data set were, by kind."""

    kinds: Counter[str] = field(default_factory=Counter)


def read_lines(path: Path, names: Sequence[str], assembly: Assembly, seen: Seen) -> list[Object]:
    """The objects of one file; what cannot be one is a finding with the line's number."""
    where = assembly.folder.name_of(path)
    try:
        lines = read_text(path).splitlines()
    except BadData as error:
        assembly.odd("unreadable annotation", where, str(error))
        return []
    found = []
    for number, line in enumerate(lines, 1):
        words = words_of(line)
        if not words:
            continue
        here = f"{where}, line {number}"
        try:
            class_id = identity(words[0], "class")
            if not isinstance(class_id, int) or not 0 <= class_id < len(names):
                assembly.odd("unknown label", here, f"class {words[0]} of {len(names)}")
                continue
            found.append(_object(here, names[class_id], numbers(words[1:], "line"), seen))
        except BadField as error:
            assembly.refused(here, error)
    return found


def words_of(line: str) -> list[str]:
    """What stands between blanks and commas; a whole number may be written as 1.0."""
    words = line.replace(",", " ").split()
    if words and words[0].endswith(".0"):
        words[0] = words[0][:-2]
    return words


def is_label_line(line: str) -> bool:
    """Whether a line could be one of YOLO's: a class id and at least four numbers."""
    words = words_of(line)
    try:
        return len(words) >= 5 and words[0].isdecimal() and bool([float(word) for word in words])
    except ValueError:
        return False


def _object(where: str, label: str, values: list[float], seen: Seen) -> Object:
    if len(values) < 4 or (len(values) > 5 and len(values) % 2):
        raise BadField(f"expected 4 numbers, or pairs of an outline, after the class, got {len(values)}")
    if max(map(abs, values)) > FRACTION_LIMIT:
        raise BadField(f"expected fractions of the image's sides, got {shown(values)}", "pixels for fractions")
    if len(values) <= 5:
        seen.kinds["box" if len(values) == 4 else "confidence"] += 1
        cx, cy, width, height = values[:4]
        return Object(where, label, (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2))
    seen.kinds["quadrilateral" if len(values) == 8 else "outline"] += 1
    return Object(where, label, None, polygons([values]))
