"""docs/PYTHON.md tells what is: its reference is made from the docstrings, and its code runs, like README's."""

import os
import re
from pathlib import Path

import pytest

import foveal
from docs.python_api import NAMES, PAGE, RAISED, page, reference

ROOT = Path(__file__).parents[2]


def test_the_reference_is_that_of_the_docstrings() -> None:
    text = PAGE.read_text()
    if "UPDATE_DOCS" in os.environ:
        PAGE.write_text(page(text))
    text = PAGE.read_text()
    assert page(text) == text, "run UPDATE_DOCS=1 pytest tests/core/test_python_docs.py"


def test_every_public_name_has_a_section() -> None:
    assert set(NAMES) == set(foveal.__all__) - {"__version__"}
    text = reference()
    assert all(f"`{name}`" in text for name in RAISED)
    documented = set(re.findall(r"^- `(\w+)`", text.split("## Options")[1].split("\n## ")[0], re.MULTILINE))
    assert documented == set(foveal.options.OptionValues.__annotations__)


@pytest.mark.parametrize("path", [PAGE, ROOT / "README.md"], ids=lambda path: path.name)
def test_code_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that has the repository's zoo and examples, so that what it writes goes away."""
    for name in ("zoo", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    blocks = [
        code for code in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) if "import foveal" in code
    ]
    assert blocks
    more = [
        code for code in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) if "assert isinstance" in code
    ]
    exec(compile("\n".join(blocks + more), str(path), "exec"), {})
    assert (tmp_path / "out.png").is_file()
