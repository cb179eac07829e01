"""docs/IMPORT.md's five minutes, with a stand-in for the file; and what it says of scripts and families."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from foveal.export.importing.families.families import FAMILIES
from foveal.export.importing.flags import FAMILY_NAMES
from foveal.export.importing.scripts import SCRIPTS
from tests.helpers import commandline
from tests.helpers import foreign_frameworks as framework
from tests.helpers.foreign_cases import CASES

GUIDE = (Path(__file__).parents[2] / "docs" / "IMPORT.md").read_text()


def test_the_five_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["yolov8 static"]
    model = case.make(tmp_path / "yolov8n.onnx")
    images = framework.photos(tmp_path / "images")
    framework.write(case.answers(model, images), tmp_path / "reference.json")
    monkeypatch.chdir(tmp_path)
    part = GUIDE.partition("## From YOLO to production")[2].partition("\n## ")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", part, re.S) for line in block.splitlines()]
    assert len(lines) == 5
    said = []
    for line in lines:
        command, *words = shlex.split(line)
        assert command == "foveal"
        code, out, err = commandline.foveal(*words)
        assert code == 0, (line, err)
        said.append(out + err)
    assert "ultralytics" in said[0]
    assert "retina_masks" in said[1]
    assert re.search(r"answers as a stand-in 1.0 did: (\d+) of \1 agree", said[2])


def test_every_family_and_script_is_in_the_guide() -> None:
    for name in FAMILIES:
        assert f"| `{name}` |" in GUIDE
        assert name in FAMILY_NAMES
    for name, script in SCRIPTS.items():
        assert f"`{name}`" in GUIDE
        ast.parse(script)
        assert "reference.json" in script
