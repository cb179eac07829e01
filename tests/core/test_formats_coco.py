import contextlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foveal.errors import BadData, BadImage, BadRequest
from foveal.formats import FORMATS, Entry
from foveal.formats.coco import CocoIds, CocoResults
from foveal.formats.id_maps import id_map_png
from foveal.metrics import SCORING
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.tasks import TASKS
from tests.helpers.commandline import foveal
from tests.helpers.detectors import RGB, detector_manifest, pipeline, scene, two_stage_graph
from tests.helpers.packages import colour_manifest, golden_files

INPUT_HW = (64, 64)
BOXES = two_stage_graph(INPUT_HW)
MASKS = two_stage_graph(INPUT_HW, np.ones((28, 28), np.float32))
TRUTH = {
    "images": [
        {"id": 42, "file_name": "a.png", "height": 64, "width": 64},
        {"id": 7, "file_name": "sub/b.png", "height": 64, "width": 64},
    ],
    "categories": [{"id": 10 + i, "name": name} for i, name in enumerate(("blue", "green", "red", "unused"))],
    "annotations": [],
}


def entries(model: bytes) -> list[Entry]:
    run = pipeline(model, input_hw=INPUT_HW)
    return [
        Entry("folder/a.png", run(scene(INPUT_HW, {"red": (5, 7, 30, 20), "blue": (40, 40, 50, 60)}))),
        Entry("folder/broken.png", BadImage("no")),
        Entry("folder/empty.png", run(scene(INPUT_HW, {}))),
        Entry("folder/b.png", run(scene(INPUT_HW, {"green": (1, 2, 4, 8)}))),
    ]


def written(model: bytes, given: list[Entry], ids: CocoIds | None = None) -> list[dict[str, Any]]:
    writer = CocoResults(detector_manifest(model, input_hw=INPUT_HW).pipeline, Options(), ids)
    lines, out = io.BytesIO(b"".join(map(writer.write, given))), io.BytesIO()
    writer.assemble(lines, out)
    return json.loads(out.getvalue())


@pytest.fixture
def truth_file(tmp_path: Path) -> Path:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(TRUTH))
    return path


def test_running_numbers_follow_the_input_and_categories_count_from_1() -> None:
    rows = written(BOXES, entries(BOXES))
    assert [(row["image_id"], row["category_id"], row["bbox"]) for row in rows] == [
        (1, 1, [5, 7, 25, 13]),
        (1, 3, [40, 40, 10, 20]),
        (4, 2, [1, 2, 3, 6]),
    ]
    assert rows[0]["score"] == 0.9
    assert "segmentation" not in rows[0]


def test_ids_of_a_ground_truth_file_and_pycocotools_reads_it(truth_file: Path, tmp_path: Path) -> None:
    given = [entry for entry in entries(MASKS) if entry.name != "folder/empty.png"]
    rows = written(MASKS, given, CocoIds.read(truth_file))
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(42, 12), (42, 10), (7, 11)]
    (tmp_path / "results.json").write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(str(truth_file)).loadRes(str(tmp_path / "results.json"))
    (row, _), result = loaded.loadAnns(loaded.getAnnIds(imgIds=42)), given[0].outcome
    assert (loaded.annToMask(row) == result.bitmap(0).full()).all()


def test_no_image_and_no_detection_are_valid_json() -> None:
    assert written(BOXES, []) == []
    assert written(BOXES, entries(BOXES)[1:3]) == []


def test_faults_name_what_was_expected(truth_file: Path, tmp_path: Path) -> None:
    ids = CocoIds.read(truth_file)
    with pytest.raises(BadData, match=r"expected one image called 'c.png', got 0"):
        ids.image_id("folder/c.png")
    spec = detector_manifest(BOXES, input_hw=INPUT_HW, labels=("mauve", "red", "blue")).pipeline
    with pytest.raises(BadData, match=r"got none for \['mauve'\]"):
        CocoResults(spec, Options(), ids)
    with pytest.raises(BadData, match="expected a text file, got none"):
        CocoIds.read(tmp_path / "nothing.json")
    with pytest.raises(
        BadRequest, match="format 'coco': expected a model of instance-segmentation or object-detection"
    ):
        FORMATS["coco"](colour_manifest().pipeline, Options())


def test_instance_map_numbers_objects_and_the_better_one_lies_on_top() -> None:
    result = pipeline(MASKS, input_hw=INPUT_HW)(scene((70, 90), {"red": (5, 7, 30, 20), "blue": (20, 12, 50, 60)}))
    task = TASKS["instance-segmentation"]
    ids = task.id_map(result)
    first, second = (result.bitmap(i).full() > 0 for i in range(2))
    assert (first & second).any(), "the objects should overlap"
    assert ((ids == 1) == first).all()
    assert ((ids == 2) == (second & ~first)).all()
    read = cv2.imdecode(np.frombuffer(id_map_png(result, task), np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    assert (read == ids).all()


@pytest.mark.parametrize(("model", "kind"), [(BOXES, "bbox"), (MASKS, "segm")], ids=["boxes", "masks"])
def test_ap_by_pycocotools_alone_is_what_evaluate_says(model: bytes, kind: str, tmp_path: Path) -> None:
    """`predict --format coco` and `evaluate` on a data set whose truth lies a little beside what the stub finds."""
    data, package = tmp_path / "data", tmp_path / "rectangles"
    draw_beside(data, photos=12)
    manifest = detector_manifest(model, input_hw=INPUT_HW)
    ModelPackage.write(package, manifest=manifest, model=model, card="#", golden=golden_files(manifest, model))
    complete = SCORING[manifest.task].options
    words = ["--score-threshold", complete.score_threshold, "--max-detections", complete.max_detections]
    words += ["--format", "coco", "--coco-truth", data / "truth.json", "--out", tmp_path / "results.json"]
    code, _, talk = foveal("predict", data / "images", "--model", package, *words)
    assert code == 0, talk
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data / "truth.json"))
        run = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    code, out, talk = foveal("evaluate", package, "--data", data, "--split", "all", "--json")
    assert code == 0, talk
    values = json.loads(out)["values"]
    assert 0.1 < run.stats[0] < 0.9
    assert [values[name] for name in ("AP", "AP50")] == pytest.approx(run.stats[:2].tolist(), abs=1e-9)


def draw_beside(data: Path, *, photos: int) -> None:
    """A COCO data set; each true rectangle lies 1, 2 or 4 px beside the one that is drawn.

    The stub scores all objects of a class alike; AP of ties hangs on the order of photos: hence one object a class.
    """
    (data / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(photos):
        colour, beside = list(RGB)[i % 3], (1, 2, 4)[i % 3]
        drawn = {colour: (8, 6, 32, 36)} if i < 3 else {}
        images.append({"id": 100 - i, "file_name": f"{i:02}.png", "height": 64, "width": 64})
        cv2.imwrite(str(data / f"images/{i:02}.png"), scene(INPUT_HW, drawn)[..., ::-1])
        if drawn:
            x1, y1, x2, y2 = 8 + beside, 6, 32 + beside, 36
            row = {"id": i + 1, "image_id": 100 - i, "category_id": i + 1, "area": 24 * 30, "iscrowd": 0}
            annotations.append({**row, "bbox": [x1, y1, 24, 30], "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]})
    categories = [{"id": i, "name": name} for i, name in enumerate(RGB, 1)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (data / "truth.json").write_text(json.dumps(truth))
