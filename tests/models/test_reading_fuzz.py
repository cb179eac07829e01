"""Damaged annotations of every tool: read, with findings, or refused with a file's name; never anything else."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from foveal.errors import BadData
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.readers import reader_of
from tests.helpers.tool_exports import TOOLS, Habits, drawn

MUTATIONS = 40  # of each tool's data set
VALUES: list[Any] = [None, "", "x", -1, 0, 1e300, 2**70, "NaN", "1e999", [], {}, [[]], [None], True, "\0", "a" * 5000]
WORDS = [
    "",
    "nan",
    "-1",
    "1e300",
    "99999999999999999999",
    "inf",
    "x",
    "\0",
    "<",
    "&b;",
    '"',
    "[",
    "{",
    ",,,",
    "é" * 999,
]
DEEP = "[" * 5000 + "]" * 5000


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values of a JSON document."""
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for key, value in children for place in places(value, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    if not path:
        return value
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if drop:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return document


def damaged(path: Path, text: str, choose: random.Random) -> str:
    if path.suffix == ".json" and choose.random() < 0.8:
        document = json.loads(text)
        place = choose.choice(places(document))
        return json.dumps(replaced(document, place, choose.choice(VALUES), drop=bool(place) and choose.random() < 0.2))
    kind = choose.random()
    if kind < 0.1:
        return text[: choose.randrange(len(text) + 1)]
    words = list(re.finditer(r"[^\s<>\"',:;=\[\]{}]+", text))
    if kind < 0.15 or not words:
        at = choose.randrange(len(text) + 1)
        return text[:at] + DEEP + text[at:]
    word = choose.choice(words)
    return text[: word.start()] + choose.choice(WORDS) + text[word.end() :]


@pytest.mark.parametrize("tool", TOOLS)
def test_damaged_annotations(tool: str, tmp_path: Path) -> None:
    TOOLS[tool][0](tmp_path / "set", drawn(), Habits())
    files = sorted(
        p for p in (tmp_path / "set").rglob("*") if p.suffix in (".json", ".xml", ".txt", ".csv", ".yaml", ".names")
    )
    choose = random.Random(tool)
    named = []  # whether a refusal names a file
    for number in range(MUTATIONS):
        path = choose.choice(files)
        before = path.read_text()
        path.write_text(damaged(path, before, choose))
        task, recipe = choose.choice(
            [("object-detection", DetectionRecipe()), ("instance-segmentation", InstanceRecipe())]
        )
        reader = reader_of(task)
        try:
            reading = reader.read(tmp_path / "set", recipe)
            if reading is not None:
                reader.findings(reading, recipe)
        except BadData as error:
            named.append(str(tmp_path) in str(error) or path.name in str(error))
        except Exception as error:
            raise AssertionError(f"mutation {number} of {path.name}: {path.read_text()[:2000]}") from error
        path.write_text(before)
    assert all(named)
