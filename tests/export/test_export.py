"""From a run folder to a package, through the commands a user types; the networks are random and small."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from foveal.errors import BadData, BadOutput, ParityFailure
from foveal.export import build as building
from foveal.export import trace as tracing
from foveal.export.build import build, portable_recipe
from foveal.export.classification import ClassificationExporter
from foveal.export.evaluation.evaluate import read_data, same_metrics, select
from foveal.export.evaluation.report import print_scores
from foveal.export.writing import Target
from foveal.inference.pipeline import Predictor
from foveal.metrics import Scores
from foveal.metrics.classification import score_classification
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.tasks.classification import Classification
from tests.helpers import runs
from tests.helpers.commandline import foveal


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    return runs.classifier_run(tmp_path_factory.mktemp("squeezenet"))


@pytest.fixture(scope="module")
def exported(run: runs.Run) -> Path:
    out = run.path.parent / "zoo" / "colours" / "3"
    code, printed, talk = foveal("export", run.path, "--out", out, "--about", "Tells paint apart.", "--max-batch", 5)
    assert code == 0
    assert printed == f"{out} {ModelPackage.open(out).digest}\n"
    assert "parity" in talk
    return out


def test_the_package_is_whole(exported: Path, run: runs.Run) -> None:
    package = ModelPackage.open(exported)
    manifest = package.manifest
    assert (package.ref, manifest.pipeline.max_batch, manifest.opset) == ("colours@3", 5, tracing.OPSET)
    assert manifest.labels == runs.CLASSES
    assert manifest.data.fingerprint == run.data.fingerprint
    assert manifest.recipe["weights"] == "random.pth"  # no folders of this machine
    assert manifest.parity.batch_sizes == (1, 2, 5)
    assert manifest.metrics.images == len(run.data.splits.test)
    assert manifest.metrics.values == pytest.approx(manifest.metrics.checkpoint_values, abs=1e-5)
    assert [tensor.shape for tensor in manifest.pipeline.inputs] == [("batch", 64, 64, 3)]
    assert sorted(golden.name for golden in package.golden) == ["high", "wide"]


def test_nothing_in_it_names_a_folder_of_this_machine(exported: Path, run: runs.Run) -> None:
    for path in exported.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (str(run.root), str(Path(torch.__file__).parent), str(Path(__file__).parent)):
                assert secret.encode() not in content, path.name


def test_the_card_speaks_to_a_stranger(exported: Path) -> None:
    text = (exported / "CARD.md").read_text()
    for words in ("Tells paint apart.", "`blue`, `green`, `red`", "## Limits", "none: painted", "foveal.load(", "curl"):
        assert words in text
    assert f"Measured on {ModelPackage.open(exported).manifest.metrics.images} images" in text


def test_verify_proves_it_again(exported: Path) -> None:
    code, printed, _ = foveal("verify", exported)
    assert code == 0
    assert [line[:3] for line in printed.splitlines()] == ["ok "] * 4


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_verify_names_the_file_with_a_flipped_byte(exported: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in exported.rglob("*"):
        target = copy / path.relative_to(exported)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 3] ^= 0x10
    (copy / name).write_bytes(content)
    code, _, talk = foveal("verify", copy)
    assert code == 1
    assert f"{name}: expected sha256" in talk


def test_run_and_package_score_alike(exported: Path, run: runs.Run) -> None:
    found = []
    for model in (run.path, exported):
        code, printed, talk = foveal("evaluate", model, "--data", run.root, "--json")
        assert (code, talk) == (0, "")
        found.append(json.loads(printed))
    before, after = found
    assert before["values"]["top1"] == after["values"]["top1"]
    assert before["confusion"] == after["confusion"]
    recorded = ModelPackage.open(exported).manifest.metrics
    assert after["values"] == pytest.approx(recorded.values, abs=1e-6)
    assert after["images"] == recorded.images


def test_evaluate_prints_tables_and_warns_of_other_data(exported: Path, tmp_path: Path) -> None:
    other = runs.paint(tmp_path / "other", count=5)
    code, printed, talk = foveal("evaluate", exported, "--data", other, "--split", "all")
    assert code == 0
    assert "top1" in printed
    assert "15 images" in printed
    assert "not, to the byte" in talk


def test_evaluate_refuses_other_labels_and_an_empty_split(exported: Path, tmp_path: Path) -> None:
    other = runs.paint(tmp_path / "other", count=5)
    (other / "red").rename(other / "purple")
    manifest = ModelPackage.open(exported).manifest
    data = read_data(manifest.task, manifest.recipe, other)
    with pytest.raises(BadData, match="blue, green, red; got blue, green, purple"):
        select(data, "test", manifest.labels)


def test_a_damaged_graph_leaves_nothing_in_the_zoo(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 % on one convolution's weights, as a bug of the exporter might do."""
    monkeypatch.setattr(tracing, "_anonymous", damaging(tracing._anonymous))
    zoo = run.path.parent / "damaged-zoo"
    with pytest.raises(ParityFailure, match=r"batch of 1: logits: expected within .* got a difference of"):
        foveal("export", run.path, "--out", zoo / "colours" / "1")
    assert not list(zoo.rglob("*"))


def damaging(clean):
    def damage(model: onnx.ModelProto) -> onnx.ModelProto:
        model = clean(model)
        convolution = [node for node in model.graph.node if node.op_type == "Conv"][7]
        weights = next(item for item in model.graph.initializer if item.name == convolution.input[1])
        weights.raw_data = (np.frombuffer(weights.raw_data, np.float32) * np.float32(1.01)).tobytes()
        return model

    return damage


@pytest.fixture
def traced(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes seconds: what was traced once is taken again."""
    graph = ModelPackage.open(exported).take_graph()
    monkeypatch.setattr(ClassificationExporter, "trace", lambda *_, **__: graph)


@pytest.mark.usefixtures("traced")
def test_figures_of_val_and_an_example(run: runs.Run) -> None:
    out = run.path.parent / "zoo" / "colours" / "4"
    example = run.data.splits.train[0].path
    code, _, talk = foveal("export", run.path, "--out", out, "--split", "val", "--example", example)
    assert code == 0
    assert "no --example" not in talk
    assert "{" not in talk  # lines for people
    assert f"metrics of {len(run.data.splits.val)} images of 'val', and before export: top1 0." in talk
    package = ModelPackage.open(out)
    assert package.manifest.examples == (f"example-{example.stem}",)
    assert (package.manifest.metrics.split, package.manifest.metrics.images) == ("val", len(run.data.splits.val))
    assert "`val` split, which chose the epoch and the defaults, so that the figures flatter" in package.card


def test_a_split_that_took_part_in_training_is_refused(run: runs.Run, tmp_path: Path) -> None:
    code, _, talk = foveal("export", run.path, "--out", tmp_path / "colours" / "1", "--split", "train")
    assert code == 2
    assert "expected test or val" in talk


def test_evaluate_names_the_splits_there_are(run: runs.Run) -> None:
    data = read_data("classification", {"test_fraction": 0.0}, run.root)
    there = r"no images in split 'test'; choose .*: train \(30 images\), val \(6 images\), all"
    with pytest.raises(BadData, match=there):
        select(data, "test", data.labels)


def test_scores_for_people_do_not_break(capsys: pytest.CaptureFixture[str]) -> None:
    """A title longer than its table; a confusion matrix wider than the page; markup in labels; rare classes."""
    labels = tuple(f"[red]class {i}" for i in range(30))
    truth = [*range(30), *range(30), 0, 0, 0]
    results = []
    for class_id in truth:
        order = np.roll(np.arange(30), -((class_id + 1) if class_id == 7 else class_id))
        results.append(Classification(np.linspace(1, 0, 30, dtype=np.float32), order, labels, (4, 4)))
    title = "a model with a very long path on 63 images, split 'test' of a data set that has a long name too"
    print_scores(score_classification(results, truth, labels), title)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == title
    assert "  2 × [red]class 7 taken for [red]class 8" in lines
    (rare,) = [line for line in lines if line.startswith("too few cases to judge by: ")]
    assert "[red]class 1 (2), " in rare
    assert rare.endswith(" and 19 more")


@pytest.mark.usefixtures("traced")
def test_metrics_that_move_leave_nothing_in_the_zoo(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([{"top1": 0.9}, {"top1": 0.899}])
    monkeypatch.setattr(building, "evaluate", lambda *_: Scores(1000, next(values)))
    target = Target.of(run.path.parent / "moved" / "colours" / "1")
    with pytest.raises(ParityFailure, match=r"top1: 0.900000 before, 0.899000 after"):
        build(runs.checkpoint_of(run), run.data.splits.test, target, max_batch=2)
    assert not list((run.path.parent / "moved").rglob("*"))


def test_metrics_within_the_agreement_are_both_recorded() -> None:
    metrics = same_metrics(Scores(10, {"top1": 0.9}), Scores(10, {"top1": 0.9004}), "test")
    assert (metrics.checkpoint_values, metrics.values) == ({"top1": 0.9}, {"top1": 0.9004})


def test_the_same_weights_give_the_same_bytes_without_a_word(
    run: runs.Run, exported: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = building.exporter_of("classification").trace(runs.checkpoint_of(run))
    assert again == ModelPackage.open(exported).take_graph()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("path", "words"), [("zoo/x/one", "whole number"), (".", "does not exist yet")])
def test_targets_that_are_refused(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(BadOutput, match=words):
        Target.of(tmp_path / path)


def test_other_data_than_that_of_training_is_refused(run: runs.Run, tmp_path: Path) -> None:
    other = runs.paint(tmp_path / "other", count=11)
    with pytest.raises(BadData, match="data set of training"):
        foveal("export", run.path, "--out", tmp_path / "zoo/x/1", "--data", other)


def test_portable_recipe_keeps_names_of_files_only() -> None:
    recipe = {"weights": "/home/me/w.pth", "split_file": None, "seed": 3, "backbone": "a/b"}
    assert portable_recipe(recipe) == {"weights": "w.pth", "split_file": None, "seed": 3, "backbone": "a/b"}


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["efficientnet_b0", "efficientnet_lite0", "mobilenet_v2"])
def test_backbones_that_fit_into_a_package(backbone: str, tmp_path: Path) -> None:
    run = runs.classifier_run(tmp_path, backbone)
    build(runs.checkpoint_of(run), run.data.splits.test, Target.of(tmp_path / "zoo/colours/1"), max_batch=4)
    assert foveal("verify", tmp_path / "zoo/colours/1")[0] == 0


def test_a_mirrored_classifier_exports_with_its_mirror(tmp_path: Path) -> None:
    run = runs.classifier_run(tmp_path, "lenet5_modern", model_input=32)
    recipe = run.path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('tta = "none"', 'tta = "flip"'))
    out = tmp_path / "zoo" / "colours" / "1"
    assert foveal("export", run.path, "--out", out, "--max-batch", 2)[0] == 0  # parity holds
    predictor = Predictor(ModelPackage.open(out))
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    straight, turned = (
        predictor.infer([predictor.prepare(np.ascontiguousarray(view))], [Options()])[0]["logits"]
        for view in (rgb, rgb[:, ::-1])
    )
    np.testing.assert_allclose(straight, turned, atol=1e-5)
