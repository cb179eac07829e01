"""Tables of docs/HTTP.md, compared with the code. `UPDATE_DOCS=1 pytest` on this file writes them."""

import os
import re
from pathlib import Path

import pytest

from foveal.options import OPTIONS
from foveal.service.errors import problem
from foveal.service.http.openapi import REQUEST_ERRORS
from foveal.service.observability.metrics import Metrics
from foveal.service.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "HTTP.md"


def escaped(text: str | None) -> str:
    """Text for a cell of a Markdown table."""
    return (text or "").replace("|", r"\|")


def settings_table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        rows.append(f"| `FOVEAL_{name.upper()}` | `{default!s}` | {escaped(field.description)} |")
    return "\n".join(["| variable | default | meaning and reason of the default |", "|---|---|---|", *rows])


def metrics_table() -> str:
    collected = Metrics()._registry.collect()
    rows = [
        f"| `{metric.name}{'_total' if metric.type == 'counter' else ''}` | {metric.type} | {metric.documentation} |"
        for metric in collected
    ]
    return "\n".join(["| metric | kind | meaning |", "|---|---|---|", *rows])


@pytest.mark.parametrize(("name", "table"), [("settings", settings_table()), ("metrics", metrics_table())])
def test_tables_are_those_of_the_code(name: str, table: str) -> None:
    text = DOCUMENT.read_text()
    section = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if "UPDATE_DOCS" in os.environ:
        DOCUMENT.write_text(section.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text))
    found = section.search(DOCUMENT.read_text())
    assert found is not None
    assert f"{found[1]}{table}\n{found[2]}" == found[0], "run UPDATE_DOCS=1 pytest tests/service/test_docs.py"


def test_every_status_and_parameter_is_documented() -> None:
    text = DOCUMENT.read_text()
    for error in REQUEST_ERRORS:
        assert re.search(rf"^\| [\d, ]*{error.status}", text, re.MULTILINE), problem(error("x"))  # type: ignore[call-arg]
    for name in OPTIONS:
        assert f"`{name}`" in text
