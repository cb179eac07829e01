"""`foveal compare`: verdicts, exit codes, slices, images; on classifiers, and on drawn detections and class maps."""

import json
from pathlib import Path

import numpy as np
import pytest

from foveal.errors import BadData, BadOutput, UnknownName
from foveal.export.comparison.slices import slices_of
from foveal.metrics import scoring
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.packages.package import ModelPackage
from tests.helpers.commandline import foveal
from tests.helpers.packages import write_colours
from tests.helpers.painted_classes import LABELS, member, paint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("data") / "paint", count=40)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """`fair` weighs all colours alike, `blind` hardly sees the first."""
    zoo = tmp_path_factory.mktemp("zoo")
    member(zoo, "fair", data, gain=8.0)
    member(zoo, "blind", data, gain=(4.0, 8.0, 8.0))
    return zoo


def test_the_same_package_twice(zoo: Path, data: Path) -> None:
    code, printed, _ = foveal("compare", "fair", "fair", "--data", data, "--zoo", zoo, "--split", "all", "--json")
    found = json.loads(printed)
    assert code == 0
    assert found["worse"] == []
    assert found["models"][1]["values"]["top1"]["difference"] == 0
    assert found["models"][1]["values"]["top1"]["difference_95"] == [0, 0]
    assert found["models"][1]["verdict"] == "fair answers as fair does, on all 120 images"


def test_a_regression_is_said_and_exits_with_1(zoo: Path, data: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = ("compare", "fair", "blind", "--data", data, "--zoo", zoo, "--split", "all")
    code, printed, _ = foveal(*command, "--report", report)
    assert code == 1
    last = printed.strip().splitlines()[-1]
    assert last.startswith("blind is worse than fair by")
    assert "red" in printed
    page = (report / "report.html").read_text()
    assert last in page
    assert page.count("<img ") == 3 * 12  # truth and two answers for each of twelve images
    assert "http" not in page
    assert (report / "contact-sheet.jpg").is_file()
    with pytest.raises(BadOutput, match="does not exist yet"):
        foveal(*command, "--report", report)
    code, printed, _ = foveal("compare", "blind", "fair", "--data", data, "--zoo", zoo, "--split", "all")
    assert code == 0
    assert "fair is better than blind by" in printed


def test_max_drop_and_metric_decide(zoo: Path, data: Path) -> None:
    command = ("compare", "fair", "blind", "--data", data, "--zoo", zoo, "--split", "all", "--json")
    assert foveal(*command, "--max-drop", "0.9")[0] == 0
    code, printed, _ = foveal(*command, "--metric", "macro_f1")
    assert code == 1
    assert json.loads(printed)["metric"] == "macro_f1"
    with pytest.raises(UnknownName, match="macro_f1, top1"):
        foveal(*command, "--metric", "AP50")


def test_other_labels_other_tasks_and_one_model_exit_with_2(zoo: Path, data: Path, tmp_path: Path) -> None:
    write_colours(tmp_path, "other", labels=("a", "b", "c"))
    with pytest.raises(BadData, match=f"expected the labels of fair, {', '.join(LABELS)}"):
        foveal("compare", "fair", tmp_path / "other" / "1", "--data", data, "--zoo", zoo)
    shipped = Path(__file__).parents[2] / "zoo" / "aerial-scenes" / "1"
    with pytest.raises(BadData, match=ModelPackage.open(shipped).manifest.pipeline.task):
        foveal("compare", "fair", shipped, "--data", data, "--zoo", zoo)
    assert foveal("compare", "fair", "--data", data, "--zoo", zoo)[0] == 2


def test_columns_of_a_table_are_slices(zoo: Path, data: Path, tmp_path: Path) -> None:
    table = tmp_path / "cameras.csv"
    lines = [f"{label}/{i:02}.png,{'phone' if i % 2 else 'slr'},{i}" for label in LABELS for i in range(40)]
    table.write_text("\n".join(["file_name,camera,number", *lines]))
    command = ("compare", "fair", "blind", "--data", data, "--zoo", zoo, "--split", "all", "--json")
    found = json.loads(foveal(*command, "--slices", table)[1])
    names = {(each["kind"], each["name"]): each["images"] for each in found["slices"]}
    assert names["camera", "phone"] == names["camera", "slr"] == 60
    assert sum(count for (kind, _), count in names.items() if kind == "number") == 120
    assert {kind for kind, _ in names} >= {"brightness", "camera", "number", "width / height"}
    phone = next(each for each in found["slices"] if each["name"] == "phone")
    assert phone["differences"][1] == pytest.approx(phone["values"][1] - phone["values"][0])
    table.write_text("colour,size\nred,1\n")
    with pytest.raises(BadData, match="file_name"):
        foveal(*command, "--slices", table)


def test_slices_follow_the_pixels(data: Path) -> None:
    paths = sorted(data.rglob("*.png"))
    found = slices_of([Sample(path.name, path, 0) for path in paths])
    shapes = [each for each in found if each.kind == "width / height"]
    assert sum(len(each.images) for each in shapes) == len(paths)
    assert min(len(each.images) for each in shapes) >= 38
    assert sum(len(each.images) for each in found if each.kind == "brightness") == len(paths)


def test_class_maps_of_a_draw_are_scored_as_the_maps_themselves() -> None:
    """Every figure of `resampled` is the scorer's on the repeated images."""
    task = scoring("semantic-segmentation")
    rng = np.random.default_rng(0)

    class Map:
        def __init__(self, class_map: np.ndarray) -> None:
            self.class_map = class_map

        def read(self) -> np.ndarray:
            return self.class_map

    from foveal.tasks.semantic_segmentation import SemanticMap

    truths = [Map(rng.integers(0, 3, (20, 30)).astype(np.uint8)) for _ in range(8)]
    truths[0].class_map[:5] = 255
    labels = ("a", "b", "c")
    results = [
        SemanticMap(
            np.where(rng.random((20, 30)) < 0.3, 1, np.minimum(t.class_map, 2)).astype(np.uint8), labels, (20, 30)
        )
        for t in truths
    ]
    images = rng.integers(0, 8, 8)
    scores = task.score([results[i] for i in images], [truths[i] for i in images], labels)
    found = task.resampled(results, truths, labels).figures(images)
    assert {name: value for (kind, name), value in found.items() if not kind} == pytest.approx(scores.values)
    assert {name: value for (kind, name), value in found.items() if kind} == pytest.approx(
        {label: of["iou"] for label, of in scores.per_class.items()}
    )


def test_truths_are_drawn_as_results() -> None:
    boxes = np.array([[1, 1, 9, 8], [0, 0, 30, 30]], np.float32)
    truth = ObjectTruth(boxes, np.array([0, 1]), (20, 20))
    drawn = scoring("object-detection").truth_result(truth, ("a", "b"), (20, 20))
    assert drawn.boxes_xyxy[1].tolist() == [0, 0, 20, 20]
    assert drawn.overlay(np.zeros((20, 20, 3), np.uint8)).any()
