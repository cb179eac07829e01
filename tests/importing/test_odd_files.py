"""Broken and odd files: one clear line each, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from foveal.errors import BadModelFile, BadOutput, BadRequest, FovealError
from foveal.export.importing import compiling
from foveal.export.importing.build import import_model
from foveal.export.importing.foreign import read_foreign
from foveal.export.importing.labels import read_labels
from foveal.export.importing.plan import Request, plan
from foveal.export.writing import Target
from foveal.packages.package import ModelPackage
from tests.helpers import foreign_graphs as graphs
from tests.helpers.commandline import foveal
from tests.helpers.foreign_cases import NAMES


def changed(path: Path, change: Callable[[onnx.ModelProto], None], make: Callable[[Path], Path] | None = None) -> Path:
    model = onnx.load((make or graphs.classifier)(path))
    change(model)
    onnx.save(model, path)
    return path


def truncated(path: Path) -> Path:
    whole = graphs.classifier(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def random_bytes(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def empty_graph(path: Path) -> Path:
    return changed(path, lambda model: model.graph.ClearField("node"))


def opset(number: int) -> Callable[[Path], Path]:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = number

    return lambda path: changed(path, change)


def custom_domain(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].op_type, model.graph.node[-1].domain = "FancyNMS", "my.company"
        model.opset_import.append(helper.make_opsetid("my.company", 1))

    return changed(path, change)


def custom_domain_in_a_branch(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        fancy = helper.make_node("Fancy", ["c0"], ["x"], domain="my.company")
        body = helper.make_graph([fancy], "then", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
        condition = numpy_helper.from_array(np.array(True), "condition")
        model.graph.initializer.append(condition)
        node = helper.make_node("If", ["condition"], ["y"], then_branch=body, else_branch=body)
        model.graph.node.append(node)

    return changed(path, change)


def two_images(path: Path) -> Path:
    second = helper.make_tensor_value_info("other", TensorProto.FLOAT, ["batch", 3, 32, 32])
    return changed(path, lambda model: model.graph.input.append(second))


def text_model(path: Path) -> Path:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", "length"])
    graph = helper.make_graph([helper.make_node("Cast", ["input_ids"], ["out"], to=1)], "text", [ids], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def grey(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1

    return changed(path, change)


def any_size(path: Path) -> Path:
    return graphs.classifier(path, input_hw=(None, None))


def external(location: str, *, size: int | None = None) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        model = onnx.load(graphs.classifier(path))
        tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
        content = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        tensor.external_data.add(key="length", value=str(len(content)))
        path.write_bytes(model.SerializeToString())
        if size is not None:
            (path.parent / location).write_bytes(content[:size])
        return path

    return make


def linked_data(path: Path) -> Path:
    external("weights.bin")(path)
    secret = path.parent.parent / "secret.bin"
    secret.write_bytes(bytes(100_000))
    (path.parent / "weights.bin").symlink_to(secret)
    return path


def torch_file(path: Path) -> Path:
    path = path.with_suffix(".pt")
    path.write_bytes(b"PK\x03\x04")
    return path


def does_not_run(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[-1].CopyFrom(
            numpy_helper.from_array(np.zeros((3, 4), np.float32), model.graph.initializer[-1].name)
        )

    return changed(path, change)


ODD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (truncated, "expected an ONNX file, got .* bytes that are none, or cut"),
    "random bytes": (random_bytes, "expected an ONNX file"),
    "empty file": (lambda path: (path.write_bytes(b""), path)[1], "expected a graph with operators and outputs"),
    "empty graph": (empty_graph, "expected a graph with operators and outputs"),
    "opset 27": (opset(27), "expected opset 11 to 26, got 27"),
    "opset 8": (opset(8), "expected opset 11 to 26, got 8"),
    "custom domain": (custom_domain, "expected operators of ai.onnx or com.microsoft, got FancyNMS of the domain"),
    "custom domain in a branch": (custom_domain_in_a_branch, "got Fancy of the domain 'my.company'"),
    "two images": (two_images, r"expected one image input, .* got pixels .*, other"),
    "text model": (text_model, r"expected one image input, .* got input_ids \[None, None\]"),
    "grey": (grey, "expected an image input with three channels, got pixels"),
    "any size": (any_size, "takes images of any size: give --input-size HxW"),
    "no external data": (external("weights.bin"), "'weights.bin' cannot be read: No such file"),
    "short external data": (external("weights.bin", size=40), "expected bytes 0 to .* of weights.bin, which has 40"),
    "external data outside": (external("../secret.bin"), "expected a file in the model's folder, got '../secret.bin'"),
    "external data, absolute": (external("/etc/passwd"), "expected a file in the model's folder, got '/etc/passwd'"),
    "external data by a link": (linked_data, "expected a file in the model's folder"),
    "torch file": (torch_file, r"expected an ONNX file, got \.pt, which is not read; make one by: yolo export"),
    "does not run": (does_not_run, "ONNX Runtime does not take it|a run on 1 images failed"),
}


@pytest.mark.parametrize("name", ODD)
def test_one_clear_line(name: str, tmp_path: Path) -> None:
    make, said = ODD[name]
    folder = tmp_path / "model"
    folder.mkdir()
    path = make(folder / "model.onnx")
    target = Target.of(tmp_path / "zoo" / "mine" / "1")
    with pytest.raises(FovealError, match=said) as caught:
        import_model(Request(path, unproved=True), target)
    assert isinstance(caught.value, BadModelFile | BadRequest)
    assert "\n" not in str(caught.value)
    assert not target.path.parent.exists()


def test_wrong_label_count(tmp_path: Path) -> None:
    path = graphs.classifier(tmp_path / "model.onnx")
    with pytest.raises(BadModelFile, match="expected 4 labels, as the graph has classes, got 3"):
        plan(Request(path, labels=("a", "b", "c")))


def test_labels_may_be_a_long_list() -> None:
    """COCO's 80 are longer than a file's name may be."""
    labels = [f"kind of thing {i}" for i in range(80)]
    assert read_labels(",".join(labels)) == tuple(labels)
    assert read_labels("car/truck, bus") == ("car/truck", "bus")
    with pytest.raises(BadRequest, match="no file labels/none"):
        read_labels("labels/none")


def test_labels_of_metadata_must_match_too(tmp_path: Path) -> None:
    path = graphs.yolo(tmp_path / "model.onnx", classes=5, metadata=NAMES)
    with pytest.raises(BadModelFile, match="expected 5 labels, as the graph has classes, got 3"):
        plan(Request(path))


def test_detr_without_labels_asks_for_the_activation(tmp_path: Path) -> None:
    path = graphs.detr(tmp_path / "model.onnx")
    with pytest.raises(BadRequest, match="give --labels, or --activation softmax"):
        plan(Request(path, "detr"))
    assert len(plan(Request(path, "detr", given={"activation": "softmax"})).labels) == 3
    assert len(plan(Request(path, "detr", given={"activation": "sigmoid"})).labels) == 4


def test_a_reference_or_unproved(tmp_path: Path) -> None:
    path = graphs.classifier(tmp_path / "model.onnx")
    with pytest.raises(BadRequest, match="expected --reference FILE --images DIR"):
        import_model(Request(path), Target.of(tmp_path / "zoo" / "mine" / "1"))


def test_external_data_is_read_and_travels(tmp_path: Path) -> None:
    whole = read_foreign(graphs.classifier(tmp_path / "whole.onnx"))
    path = external("weights.bin", size=10**9)(tmp_path / "model.onnx")
    foreign = read_foreign(path)
    assert foreign.weights
    x = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    expected, got = whole.run(whole.open(), x), foreign.run(foreign.open(), x)
    np.testing.assert_array_equal(expected[0], got[0])
    target = Target.of(tmp_path / "zoo" / "mine" / "1")
    import_model(Request(path, unproved=True), target)
    assert "Unproved" in (target.path / "CARD.md").read_text()


def test_metadata_are_never_evaluated(tmp_path: Path) -> None:
    trap = "__import__('pathlib').Path('trap').write_text('x')"
    foreign = read_foreign(graphs.classifier(tmp_path / "model.onnx", metadata={"names": trap}))
    assert foreign.metadata["names"] == trap
    assert not Path("trap").exists()


def test_a_file_that_answers_nan_or_at_random_is_called_so(tmp_path: Path) -> None:
    def dividing(model: onnx.ModelProto) -> None:
        model.graph.node[-1].CopyFrom(helper.make_node("Sqrt", [model.graph.node[-1].input[0]], ["output"]))

    with pytest.raises(BadModelFile, match=r"the file itself answers .* with NaN"):
        import_model(
            Request(changed(tmp_path / "nan.onnx", dividing), family="timm", unproved=True),
            Target.of(tmp_path / "zoo" / "nan" / "1"),
        )

    def drawing(model: onnx.ModelProto) -> None:
        last = model.graph.node.pop()
        model.graph.node.append(helper.make_node("RandomNormalLike", [last.input[0]], ["noise"]))
        model.graph.node.append(helper.make_node("Add", [last.input[0], "noise"], ["output"]))

    with pytest.raises(BadModelFile, match="the file gives another each time"):
        import_model(
            Request(changed(tmp_path / "random.onnx", drawing), family="timm", unproved=True),
            Target.of(tmp_path / "zoo" / "random" / "1"),
        )
    assert not (tmp_path / "zoo").exists()


def test_several_classes_an_image_are_not_taken_for_one(tmp_path: Path) -> None:
    path = graphs.classifier(tmp_path / "model.onnx", ending="Sigmoid")
    with pytest.raises(BadModelFile, match="ends in Sigmoid, so an image may have several"):
        plan(Request(path, family="timm"))
    assert plan(Request(path, family="timm", given={"activation": "none"})).reading.activation == "none"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", "\n\n", "expected labels, got none"),
        ("nested.json", '[["a"], "b"]', "class 0: expected a label"),
        ("null.json", '["a", null]', "class 1: expected a label"),
        ("yes.yaml", "names: [yes, no]", "class 0: expected a label .* got 'True'"),
        ("long.txt", "a" * 300, "class 0: expected a label of 1 to 200"),
    ],
)
def test_what_is_no_label_is_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadRequest, match=message):
        read_labels(str(path))


def test_labels_as_keras_and_lists_with_numbers_have_them(tmp_path: Path) -> None:
    path = tmp_path / "imagenet.json"
    path.write_text('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}')
    assert read_labels(str(path)) == ("tench", "goldfish")
    path = tmp_path / "labels.txt"
    path.write_text("0 tench\n1 great white shark\n")
    assert read_labels(str(path)) == ("tench", "great white shark")
    path.write_text("2 stroke engine\n4 stroke engine\n")
    assert read_labels(str(path)) == ("2 stroke engine", "4 stroke engine")
    with pytest.raises(BadRequest, match="class 1: expected a label"):
        read_labels("a,,c")


def test_names_that_cannot_be_read_are_said_to_be(tmp_path: Path) -> None:
    path = graphs.classifier(tmp_path / "model.onnx", metadata={"names": "{0: 'a'"})
    assert any("its names cannot be read" in note for note in plan(Request(path, family="timm")).notes)


def test_metadata_reach_the_card_as_one_plain_line(tmp_path: Path) -> None:
    said = {"license": "MIT\n# Injected\n<b>x</b>", "description": "a\x00b\n\n## c"}
    path = graphs.classifier(tmp_path / "model.onnx", metadata=said)
    import_model(Request(path, family="timm", unproved=True), Target.of(tmp_path / "zoo" / "model" / "1"))
    card = (tmp_path / "zoo" / "model" / "1" / "CARD.md").read_text()
    assert "- Licence of the weights: MIT # Injected &lt;b>x&lt;/b>" in card
    assert "Network: a b ## c, imported" in card


@pytest.mark.parametrize("flags", [("--mean", "nan"), ("--std", "0"), ("--input-size", "100000x9"), ("--scale", "inf")])
def test_flags_that_are_no_such_numbers(flags: tuple[str, str], tmp_path: Path) -> None:
    path = graphs.classifier(tmp_path / "model.onnx")
    code, _, said = foveal("import", path, "--as", "timm", "--dry-run", *flags)
    assert code == 2
    assert flags[0] in said


def test_a_place_that_takes_nothing_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOutput, match="expected a folder that can be made"):
        Target.of(tmp_path / "file" / "model" / "1")


def test_batches_that_the_probe_did_not_see_through_run_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row and the mean of its batch; the probe is blinded."""

    def mixing(model: onnx.ModelProto) -> None:
        last = model.graph.node.pop()
        model.graph.node.append(helper.make_node("ReduceMean", [last.input[0]], ["mean"], axes=[0], keepdims=1))
        model.graph.node.append(helper.make_node("Add", [last.input[0], "mean"], ["output"]))

    path = changed(tmp_path / "model.onnx", mixing)
    request = Request(path, family="timm", unproved=True)
    assert plan(request).probed.max_batch == 1
    monkeypatch.setattr(compiling, "_same_rows", lambda *_: True)
    assert plan(request).probed.max_batch == 16
    said: list[str] = []
    import_model(request, Target.of(tmp_path / "zoo" / "model" / "1"), log=said.append)
    package = ModelPackage.open(tmp_path / "zoo" / "model" / "1")
    assert package.manifest.pipeline.max_batch == 1
    assert package.card.count("one image at a time") == 1
    assert any("batch" in line and "golden/" in line for line in said)
