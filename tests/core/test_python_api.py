"""The public Python API: the seven lines of the README, every wrong use, doctests, and what an import loads."""

import dataclasses
import doctest
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import foveal
from foveal.options import OPTIONS, OptionValues
from tests.helpers.playground_zoo import IMAGE, PIXELS, RECTANGLES, write_zoo

ROOT = Path(__file__).parents[2]
SEVEN_LINES = """
import foveal
model = foveal.load("rectangles")
found = model("a.png", score_threshold=0.6)
for cell in found: print(cell.label, round(cell.score, 3), cell.box_xyxy)
found[found.scores > 0.75].draw("a.png").save("out.png")
found.to_dict(); found.to_supervision(); found.to_pandas(); foveal.list_models()
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zoo(tmp_path_factory.mktemp("api") / "zoo")


@pytest.fixture(scope="module")
def models(zoo: Path) -> dict[str, foveal.Predictor]:
    return {name: foveal.load(name, zoo=zoo) for name in foveal.list_models(zoo=zoo)}


def python(code: str, *, cwd: Path, **environment: str) -> str:
    """What a fresh interpreter prints; any warning is an error there."""
    here = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    command = [sys.executable, "-W", "error::DeprecationWarning:foveal", "-c", code]
    done = subprocess.run(command, cwd=cwd, env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_seven_lines(zoo: Path, tmp_path: Path) -> None:
    pytest.importorskip("supervision")
    (tmp_path / "a.png").write_bytes(IMAGE)
    printed = python(SEVEN_LINES, cwd=tmp_path, FOVEAL_ZOO=str(zoo))
    boxes = {name: tuple(map(float, box)) for name, box in RECTANGLES.items()}
    assert printed.splitlines() == [
        f"red 0.9 {boxes['red']}",
        f"green 0.8 {boxes['green']}",
        f"blue 0.7 {boxes['blue']}",
    ]
    drawn = np.asarray(Image.open(tmp_path / "out.png"))
    assert drawn.shape == PIXELS.shape
    assert (drawn != PIXELS)[16:64, 16:64].any()  # red and green are drawn, blue (0.7) is not
    assert (drawn == PIXELS)[85:112, 8:56].all()


# --- what an import loads


def test_importing_loads_no_library(tmp_path: Path) -> None:
    code = "import foveal, sys; dir(foveal); print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(python(code, cwd=tmp_path).split())
    assert not loaded & {"cv2", "onnxruntime", "numpy", "PIL", "pydantic", "pandas", "supervision", "torch", "typer"}


PREDICT_EVERYTHING = """
import sys
from pathlib import Path
import foveal
from foveal.cli import main
from foveal.formats import FORMATS
for name in foveal.list_models():
    result = foveal.load(name)("a.png")
    result.draw("a.png"), result.to_dict(), result.rows(), repr(result)
    for format in FORMATS:
        sys.argv = ["foveal", "predict", "--model", name, "a.png", "--format", format, "--out", f"{name}.{format}"]
        try:
            main()
        except SystemExit as end:
            assert not end.code or (format == "coco" and name in ("colours", "bright")), (name, format, end.code)
print(*sorted(sys.modules))
"""


def test_prediction_imports_neither_scoring_nor_drawn_data(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    loaded = python(PREDICT_EVERYTHING, cwd=tmp_path, FOVEAL_ZOO=str(zoo)).split()
    assert {"foveal.formats.coco", "foveal.formats.parquet", "foveal.imaging.drawing"} <= set(loaded)
    unwanted = (
        "foveal.metrics",
        "foveal.synth",
        "foveal.models",
        "foveal.export",
        "foveal.service",
        "torch",
        "bentoml",
    )
    assert [name for name in loaded if name.startswith(unwanted)] == []
    assert (tmp_path / "rectangles.coco").stat().st_size > 0
    assert (tmp_path / "halves.parquet").stat().st_size > 0


# --- docstrings


@pytest.mark.parametrize("name", [name for name in foveal.__all__ if name != "__version__"])
def test_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("FOVEAL_ZOO", raising=False)
    finder, runner, said = doctest.DocTestFinder(exclude_empty=False), doctest.DocTestRunner(verbose=False), []
    for test in finder.find(getattr(foveal, name), name, module=False):
        runner.run(test, out=said.append)
    assert not said, "".join(said)
    assert runner.tries > 0 or name == "FovealError"


def test_every_public_name_has_a_docstring_and_an_example() -> None:
    for name in set(foveal.__all__) - {"__version__"}:
        text = getattr(foveal, name).__doc__ or ""
        assert ">>> " in text, name
    assert set(foveal.__all__) <= set(dir(foveal))


# --- wrong uses: a FovealError that says what was expected


def wrong_options() -> list[Any]:
    array = np.array([0.5, 0.6])
    return [
        ("rectangles", {"conf": 0.5}, "parameter 'conf' is unknown; expected some of: classes, iou_threshold, "),
        ("colours", {"conf": 0.5}, "parameter 'conf' is unknown; expected some of: top_k"),
        ("colours", {"score_threshold": 0.5}, "does not apply to this task; expected some of: top_k"),
        ("rectangles", {"tile": 256}, "'tile' does not apply to this task; expected some of: classes, "),
        ("rectangles", {"score_threshold": 5}, "'score_threshold': expected a number 0..1, got 5"),
        ("rectangles", {"score_threshold": 10**400}, "'score_threshold': expected a number 0..1, got 1"),
        ("rectangles", {"score_threshold": float("nan")}, "expected a number 0..1, got nan"),
        ("rectangles", {"score_threshold": "0.5"}, "expected a number 0..1, got '0.5'"),
        ("rectangles", {"score_threshold": True}, "expected a number 0..1, got True"),
        ("rectangles", {"score_threshold": array}, "expected a number 0..1, got array"),
        ("rectangles", {"score_threshold": 1j}, "expected a number 0..1, got 1j"),
        ("rectangles", {"max_detections": 0}, "'max_detections': expected a whole number 1..300, got 0"),
        ("rectangles", {"max_detections": 2.0}, "expected a whole number 1..300, got 2.0"),
        ("rectangles", {"max_detections": np.array([1, 2])}, "expected a whole number 1..300, got array"),
        ("rectangles", {"classes": "cow"}, "unknown class 'cow'; choices: blue, green, red"),
        ("rectangles", {"classes": ["red", "cow"]}, "unknown class 'cow'; choices: blue, green, red"),
        ("rectangles", {"classes": [0]}, "'classes': expected labels, as a list of strings, got [0]"),
        ("rectangles", {"classes": 0}, "'classes': expected labels, as a list of strings, got 0"),
        ("halves", {"mask_format": "bitmap"}, "expected one of rle, polygon, png, none, got 'bitmap'"),
        ("halves", {"mask_format": array}, "expected one of rle, polygon, png, none, got array"),
        ("bright", {"tile": 1}, "'tile': expected a whole number 128..8192, got 1"),
        ("rectangles", {"options": {"top_k": 1}}, "options: expected foveal.Options, got dict"),
        ("colours", {"options": foveal.Options(tile=256)}, "'tile' does not apply to this task"),
    ]


@pytest.mark.parametrize(("name", "values", "message"), wrong_options())
def test_wrong_options(models: dict[str, foveal.Predictor], name: str, values: dict[str, Any], message: str) -> None:
    for images in (IMAGE, [IMAGE], []):
        with pytest.raises(foveal.FovealError) as caught:
            models[name](images, **values)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conf": 1}, f"'conf' is unknown; expected some of: {', '.join(sorted(OPTIONS))}"),
        ({"top_k": "3"}, "'top_k': expected a whole number 1..100000, got '3'"),
        ({"mask_format": "svg"}, "'mask_format': expected one of rle, polygon, png, none, got 'svg'"),
        ({"classes": b"red"}, "expected labels, as a list of strings"),
    ],
)
def test_wrong_options_object(values: dict[str, Any], message: str) -> None:
    with pytest.raises(foveal.FovealError) as caught:
        foveal.Options(**values)
    assert message in str(caught.value)


def test_options_compare_print_and_are_declared_to_type_checkers() -> None:
    options = foveal.Options(score_threshold=np.float32(0.5), classes=np.array(["red"]), top_k=np.int64(2))
    assert repr(options) == "Options(top_k=2, score_threshold=0.5, classes=('red',))"
    assert options == foveal.Options(top_k=2, score_threshold=0.5, classes="red")
    assert len({options, pickle.loads(pickle.dumps(options))}) == 1
    assert dataclasses.replace(options, top_k=3).top_k == 3
    assert list(OptionValues.__annotations__) == list(OPTIONS) == [f.name for f in dataclasses.fields(options)]


def test_options_by_name_win_and_none_means_the_default(models: dict[str, foveal.Predictor]) -> None:
    model = models["rectangles"]
    strict = foveal.Options(score_threshold=0.85)
    assert len(model(IMAGE, options=strict)) == 1  # type: ignore[arg-type]
    assert len(model(IMAGE, options=strict, score_threshold=0.75)) == 2  # type: ignore[arg-type]
    assert model(IMAGE, options=strict, score_threshold=None) == model(IMAGE)
    assert model(IMAGE, top_k=None) == model(IMAGE)
    assert len(model(IMAGE, classes=[])) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda zoo: foveal.load("bird", zoo=zoo),
            "unknown model 'bird'; choices: bright, colours, halves, rectangles",
        ),
        (lambda zoo: foveal.load("bright@2", zoo=zoo), "unknown model 'bright@2'; choices: bright@1"),
        (lambda zoo: foveal.load("bright@x", zoo=zoo), "unknown model 'bright@x'; choices: bright@1"),
        (lambda zoo: foveal.load("x" * 9000, zoo=zoo), "unknown model 'xxx"),
        (lambda zoo: foveal.load("a\0b", zoo=zoo), "unknown model"),
        (lambda zoo: foveal.load(zoo / "bright"), "expected a package folder, with SHA256SUMS in it"),
        (lambda zoo: foveal.load("bright", zoo=zoo / "none"), "holds no models; name a zoo"),
        (lambda zoo: foveal.load(5, zoo=zoo), "name: expected text or a path, got 5"),
        (lambda zoo: foveal.load(None), "name: expected text or a path, got None"),
        (lambda zoo: foveal.load("bright", zoo=5), "zoo: expected text or a path, got 5"),
        (
            lambda zoo: foveal.load("bright", zoo=zoo, provider="gpu"),
            "unknown execution provider 'gpu'; choices: cpu, cuda, openvino, tensorrt",
        ),
        (lambda zoo: foveal.load("bright", zoo=zoo, provider=["cpu"]), "unknown execution provider ['cpu']; choices"),
        (lambda zoo: foveal.load("bright", zoo=zoo, threads=-1), "threads: expected a whole number 0..1024, got -1"),
        (lambda zoo: foveal.load("bright", zoo=zoo, threads="2"), "threads: expected a whole number 0..1024, got '2'"),
        (lambda zoo: foveal.load("bright", zoo=zoo, threads=1.5), "threads: expected a whole number 0..1024, got 1.5"),
        (lambda zoo: foveal.list_models(zoo=zoo / "none"), "expected a zoo's folder, got none"),
        (lambda zoo: foveal.list_models(5, zoo=zoo), "pattern: expected text or a path, got 5"),
    ],
)
def test_wrong_models(zoo: Path, call: Any, message: str) -> None:
    with pytest.raises(foveal.FovealError) as caught:
        call(zoo)
    assert message in str(caught.value)


def test_names_versions_folders_and_patterns(zoo: Path) -> None:
    assert foveal.list_models(zoo=str(zoo)) == ["bright", "colours", "halves", "rectangles"]
    assert foveal.list_models("[bh]*", zoo=zoo) == ["bright", "halves"]
    assert foveal.list_models("nothing*", zoo=zoo) == []
    for name in ("bright", "bright@1"):
        assert foveal.load(name, zoo=zoo).manifest.ref == "bright@1"
    for folder in (zoo / "bright" / "1", str(zoo / "bright" / "1")):
        assert foveal.load(folder).manifest.ref == "bright@1"


def test_a_missing_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Modell'"):
        foveal.Modell  # noqa: B018
