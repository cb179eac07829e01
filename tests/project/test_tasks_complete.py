"""Completeness of the registries: every task has its line in each, and nothing else names tasks.

The tables that are walked: TASKS (core), SCORING (metrics), LAYOUTS (drawn data sets), READERS and TRAINERS (models),
the ready recipes in models/presets/, EXPORTERS (export). Endpoints and the OpenAPI document are made of TASKS.
"""

import ast
from pathlib import Path

import pytest

from foveal.export.tasks import EXPORTERS
from foveal.metrics import SCORING
from foveal.models.readers import READERS
from foveal.models.recipe import READY
from foveal.models.tasks import TRAINERS
from foveal.options import OPTIONS
from foveal.service.http.openapi import document
from foveal.synth.write import LAYOUTS
from foveal.tasks import TASKS

ROOT = Path(__file__).parents[2]
TABLES = {
    "SCORING": SCORING,
    "LAYOUTS": LAYOUTS,
    "READERS": READERS,
    "TRAINERS": TRAINERS,
    "EXPORTERS": EXPORTERS,
    "ready recipes": {path.name: path for path in READY.iterdir()},
}
OWN = (  # files that are one task's own, or a registry of lines
    "src/foveal/tasks/",
    "src/foveal/metrics/__init__.py",
    "src/foveal/metrics/detection_errors.py",  # "classification" is a kind of error there
    "src/foveal/synth/write.py",
    "models/classification/",
    "models/segmentation/",
    "models/detection/",
    "models/readers.py",
    "models/tasks.py",
    "export/tasks.py",
    "export/classification.py",
    "export/segmentation.py",
    "export/detection/",
    "export/importing/families/",
    "export/ensemble/",  # of classifiers
)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_every_task(table: str) -> None:
    assert set(TABLES[table]) == set(TASKS)


def test_tasks_agree_with_their_trainers_and_readers() -> None:
    for name, task in TASKS.items():
        assert task.name == TRAINERS[name].name == name
        assert TRAINERS[name].recipe_type is READERS[name].recipe_type
        assert task.option_names <= set(OPTIONS)
        assert f"/v1/{task.endpoint}" in document()["paths"]


def task_names_in(path: Path) -> list[int]:
    """Lines with a string that is a task's name."""
    tree = ast.parse(path.read_text())
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in TASKS]


def test_nothing_else_names_a_task() -> None:
    """A table keyed by task names, or a branch on one, hides from whoever adds a task."""
    found = []
    for folder in ("src/foveal", "models", "export", "service"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(OWN):
                found += [f"{name}:{line}" for line in task_names_in(path)]
    assert not found
