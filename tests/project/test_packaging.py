"""What lands in a user's site-packages: one name, `foveal`, with every module of the four folders."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = {"": "src/foveal", "models": "models", "export": "export", "service": "service"}


def config() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def expected_modules() -> set[str]:
    found = set()
    for stage, folder in PLACES.items():
        for path in (ROOT / folder).rglob("*.py"):
            found.add("/".join(["foveal", *([stage] if stage else []), path.relative_to(ROOT / folder).as_posix()]))
    return found


def test_the_wheel_holds_every_module_under_one_name(tmp_path: Path) -> None:
    """Also fails when a new sub-package was not listed in pyproject."""
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.split("\n"):
        if name.startswith(("src/", "models/", "export/", "service/", "pyproject", "README", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert expected_modules() <= names
    assert {name.split("/")[0] for name in names} == {"foveal", wheel.name.split("-py3")[0] + ".dist-info"}
    assert "foveal/py.typed" in names
    pages = {f"foveal/service/{path.relative_to(ROOT / 'service')}" for path in (ROOT / "service/ui").iterdir()}
    assert pages <= names
    assert pages


def test_locks_name_no_registry_and_serving_no_torch() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text, path
        assert "--" not in text.replace("--hash=sha256:", ""), path
    serving = {line.split("==")[0] for line in (ROOT / "requirements/serve.txt").read_text().split()}
    assert not serving & {"torch", "torchvision", "lightning", "onnx"}
    assert {"bentoml", "onnxruntime", "opencv-python-headless"} <= serving


def test_every_dependency_has_both_ends_of_a_range() -> None:
    project = config()["project"]
    for requirement in [*project["dependencies"], *(r for e in project["optional-dependencies"].values() for r in e)]:
        assert ">=" in requirement, requirement
        assert ",<" in requirement, requirement
