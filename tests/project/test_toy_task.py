"""A fifth task from three files and a line in each registry, through everything: train to OpenAPI."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.helpers.toy.models import write_measured

ROOT = Path(__file__).parents[2]
FAST = ("--set", "epochs=8", "--set", "batch_size=4", "--set", "lr_head=0.05", "--set", "lr_backbone=0.05")


def drive(*words: object) -> subprocess.CompletedProcess[str]:
    """A process in which the toy task is registered."""
    command = [sys.executable, "-m", "tests.helpers.toy.drive", *map(str, words)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths})


def foveal(*words: object) -> str:
    """stdout of a command that must succeed."""
    done = drive("foveal", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_measured(tmp_path_factory.mktemp("toy") / "greys")


@pytest.fixture(scope="module")
def zoo(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained and exported by the commands."""
    folder = tmp_path_factory.mktemp("toy-zoo")
    foveal("train", "--task", "measurement", "--data", data, "--out", folder / "run", *FAST)
    foveal("export", folder / "run", "--out", folder / "zoo" / "greys" / "1", "--max-batch", 3)
    return folder / "zoo"


def test_export_is_proved_and_described(zoo: Path) -> None:
    assert "ok  golden: 2 of 2" in foveal("verify", zoo / "greys" / "1")
    manifest = json.loads((zoo / "greys" / "1" / "manifest.json").read_text())
    assert manifest["pipeline"]["task"] == "measurement"
    assert manifest["parity"]["measured"]["value_max_abs"] < 1e-4
    assert manifest["metrics"]["values"]["accuracy"] > 0.8
    card = (zoo / "greys" / "1" / "CARD.md").read_text()
    assert "Measures a quantity of an image." in card
    assert "/v1/measure?model=greys@1" in card


def test_evaluate(zoo: Path, data: Path) -> None:
    scores = json.loads(foveal("evaluate", zoo / "greys" / "1", "--data", data, "--json"))
    recorded = json.loads((zoo / "greys" / "1" / "manifest.json").read_text())["metrics"]["values"]
    assert scores["values"]["accuracy"] == pytest.approx(recorded["accuracy"], abs=1e-6)


def test_predict_in_every_format(zoo: Path, data: Path, tmp_path: Path) -> None:
    words = ("predict", data, "--model", "greys", "--zoo", zoo)
    entries = [json.loads(line) for line in foveal(*words, "--overlay", tmp_path / "drawn").splitlines()]
    assert len(entries) == 24
    assert entries[0].keys() == {"image", "measurement"}
    csv = foveal(*words, "--format", "csv").splitlines()
    assert csv[0] == "image,label,value,error"
    assert csv[1].endswith(f",brightness,{entries[0]['measurement']['value']},")
    foveal(*words, "--format", "parquet", "--out", tmp_path / "out.parquet")
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["measurement"] for row in rows] == [entry["measurement"] for entry in entries]
    refused = drive("foveal", *words, "--format", "coco")
    assert refused.returncode == 2
    assert "expected a model of instance-segmentation or object-detection, got measurement" in refused.stderr
    drawings = sorted((tmp_path / "drawn").rglob("*.jpg"))
    assert len(drawings) == 24
    plain = cv2.imread(str(data / "00.png"))
    assert cv2.imread(str(drawings[0])).shape == plain.shape


def test_http_and_openapi(zoo: Path, data: Path) -> None:
    image = data / "00.png"
    done = drive("serve", zoo, image)
    assert done.returncode == 0, done.stderr
    served = json.loads(done.stdout)
    assert served["status"] == 200
    (line,) = foveal("predict", image, "--model", "greys", "--zoo", zoo).splitlines()
    own = json.loads(line)
    (result,) = json.loads(served["answer"])["results"]
    assert result["measurement"] == own["measurement"]
    assert served["drawn"][:2] == [200, "image/png"]
    assert served["wrong"]["status"] == 400
    assert "does not apply to this task" in served["wrong"]["detail"]
    (model,) = served["models"]["models"]
    assert (model["task"], model["endpoint"], model["defaults"]) == ("measurement", "/v1/measure", {})
    assert "/v1/measure" in served["openapi"]["paths"]
    assert "MeasurementEntry" in served["openapi"]["components"]["schemas"]
    assert served["docs"] == 200
