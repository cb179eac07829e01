"""Overlays, id maps and COCO ids through the command line, on a stub instance segmenter."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from foveal.batch.image_files import ImageFiles
from foveal.batch.sources import Source, inside
from foveal.commands.predict import predict
from foveal.errors import BadRequest
from foveal.imaging import drawing
from foveal.imaging.decode import decode
from foveal.packages.package import ModelPackage
from tests.helpers.detectors import detector_manifest, scene, two_stage_graph
from tests.helpers.packages import golden_files

INPUT_HW = (64, 64)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/one.png with two objects and photos/two.png with none, and a package beside them."""
    model = two_stage_graph(INPUT_HW, np.ones((28, 28), np.float32))
    manifest = detector_manifest(model, input_hw=INPUT_HW)
    ModelPackage.write(
        tmp_path / "rectangles", manifest=manifest, model=model, card="#", golden=golden_files(manifest, model)
    )
    (tmp_path / "photos").mkdir()
    images = {"one": {"red": (5, 7, 30, 20), "blue": (40, 20, 60, 40)}, "two": {}}
    for name, rectangles in images.items():
        drawn = scene((50, 70), rectangles)
        (tmp_path / f"photos/{name}.png").write_bytes(drawing.encode(drawn, "image/png"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    import typer

    app = typer.Typer()
    app.command()(predict)
    return CliRunner().invoke(app, ["photos", "--model", "rectangles", *arguments])


def test_overlays_and_maps_lie_where_the_images_lay(folder: Path) -> None:
    done = run("--overlay", "drawn", "--maps", "ids", "--out", "answers.jsonl")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (folder / "drawn/photos").iterdir()) == ["one.png.jpg", "two.png.jpg"]
    drawn = decode((folder / "drawn/photos/one.png.jpg").read_bytes())
    assert drawn.image_hw == (50, 70)
    ids = cv2.imread(str(folder / "ids/photos/one.png.png"), cv2.IMREAD_UNCHANGED)
    assert ids.dtype == np.uint16
    first, second = json.loads((folder / "answers.jsonl").read_text().splitlines()[0])["detections"]
    assert [np.count_nonzero(ids == i) for i in (1, 2)] == [first["area_px"], second["area_px"]]
    assert not cv2.imread(str(folder / "ids/photos/two.png.png"), cv2.IMREAD_UNCHANGED).any()


def test_coco_results_with_the_ids_of_a_data_set(folder: Path) -> None:
    images = [{"id": 31, "file_name": "one.png"}, {"id": 32, "file_name": "two.png"}]
    categories = [{"id": 5 + i, "name": name} for i, name in enumerate(("red", "green", "blue"))]
    (folder / "truth.json").write_text(json.dumps({"images": images, "categories": categories}))
    done = run("--format", "coco", "--coco-truth", "truth.json", "--out", "results.json")
    assert done.exit_code == 0, done.output
    rows = json.loads((folder / "results.json").read_bytes())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(31, 5), (31, 7)]


def test_faults(folder: Path) -> None:
    assert "expected --format coco, got jsonl" in str(run("--coco-truth", "truth.json").exception)
    with pytest.raises(BadRequest, match="--maps: expected a model of instance-segmentation"):
        ImageFiles(maps=folder).check("object-detection")


@pytest.mark.parametrize(
    ("name", "stays"), [("a.png", "a.png"), ("/tmp/a/b.png", "tmp/a/b.png"), ("../../x/../b.png", "x/b.png")]
)
def test_no_image_is_written_outside_of_the_folder(name: str, stays: str) -> None:
    assert inside(Source(name, name)) == stays
