"""The command line as a user meets it: a real process, its stdout, its stderr, its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from foveal.cli import COMMANDS
from tests.helpers import packages

HEAVY = ("numpy", "cv2", "onnxruntime", "torch", "bentoml", "pydantic")


def foveal(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from foveal.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    packages.write_colours(folder)
    (folder / "red.png").write_bytes(packages.png((200, 0, 0)))
    (folder / "broken.png").write_bytes(packages.png((200, 0, 0))[:-30])
    return folder


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = f"""
import sys
from foveal.cli import build
try:
    build(["--help"])(["--help"])
except SystemExit:
    pass
print("LOADED", [name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "LOADED []" in done.stdout
    for path in COMMANDS:
        assert path.split()[0] in done.stdout


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_loads_and_explains_itself(path: str) -> None:
    done = foveal(*path.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: foveal" in done.stdout


def test_predict_prints_lines_and_nothing_else(zoo: Path) -> None:
    done = foveal("predict", zoo / "red.png", "--model", "colours", "--zoo", zoo)
    assert done.returncode == 0
    assert done.stderr.startswith("foveal: 1 image in")
    entry = json.loads(done.stdout)
    assert entry["image"] == {"name": str(zoo / "red.png"), "width": 12, "height": 10, "exif_orientation": 1}
    assert entry["classes"][0]["label"] == "red"


def test_predict_goes_on_after_a_bad_file_and_exits_1(zoo: Path) -> None:
    done = foveal("predict", zoo / "broken.png", zoo / "red.png", "--model", "colours", "--zoo", zoo, "--top-k", "1")
    assert done.returncode == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["error"]["status"] == 422
    assert len(second["classes"]) == 1
    assert "1 of 2 images failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "colour"], "choices: colours"),
        (["--model", "colours", "--format", "xml"], "choices: coco, csv, jsonl"),
        (["--model", "colours", "--score-threshold", "0.3"], "does not apply to this task"),
        (["--model", "colours", "--batch-size", "99"], "expected at most 8, got 99"),
        (["--model", "colours", "--provider", "gpu"], "choices: cpu, cuda"),
    ],
)
def test_user_faults_exit_2_with_what_was_expected(zoo: Path, arguments: list[str], message: str) -> None:
    done = foveal("predict", zoo / "red.png", "--zoo", zoo, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_models_lists_the_zoo(zoo: Path) -> None:
    assert "colours@1" in foveal("models", "--zoo", zoo).stdout
    (row,) = json.loads(foveal("models", "--zoo", zoo, "--json").stdout)
    assert row["pipeline"]["labels"] == ["red", "green", "blue"]
    assert row["digest"].startswith("sha256:")


def test_an_empty_zoo_exits_2_and_says_what_to_do(tmp_path: Path) -> None:
    done = foveal("models", "--zoo", tmp_path)
    assert done.returncode == 2
    assert "`foveal export` makes them" in done.stderr
