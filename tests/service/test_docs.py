"""docs/API.md tells what is: its tables are those of the code. `UPDATE_DOCS=1 pytest` on this file writes them."""

import os
import re
from pathlib import Path

import pytest

from foveal.service.errors import problem
from foveal.service.http.openapi import FAULTS, PARAMETERS
from foveal.service.observability.metrics import Metrics
from foveal.service.settings import Settings

API = Path(__file__).parents[2] / "docs" / "API.md"


def settings_table() -> str:
    rows = [
        f"| `FOVEAL_{name.upper()}` | `{field.get_default(call_default_factory=True)!s}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | what, and why this default |", "|---|---|---|", *rows])


def metrics_table() -> str:
    collected = Metrics()._registry.collect()
    rows = [
        f"| `{metric.name}{'_total' if metric.type == 'counter' else ''}` | {metric.type} | {metric.documentation} |"
        for metric in collected
    ]
    return "\n".join(["| metric | kind | what |", "|---|---|---|", *rows])


@pytest.mark.parametrize(("name", "table"), [("settings", settings_table()), ("metrics", metrics_table())])
def test_tables_are_those_of_the_code(name: str, table: str) -> None:
    text = API.read_text()
    frame = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if "UPDATE_DOCS" in os.environ:
        API.write_text(frame.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text))
    found = frame.search(API.read_text())
    assert found is not None
    assert f"{found[1]}{table}\n{found[2]}" == found[0], "run UPDATE_DOCS=1 pytest tests/service/test_docs.py"


def test_every_status_and_parameter_is_told() -> None:
    text = API.read_text()
    for fault in FAULTS:
        assert re.search(rf"^\| [\d, ]*{fault.status}", text, re.MULTILINE), problem(fault("x"))  # type: ignore[call-arg]
    for name in PARAMETERS:
        assert f"`{name}`" in text
