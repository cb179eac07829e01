"""Graphs with external data: what leaves the ONNX file, what stays, and packages made of them, end to end."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model

from foveal.export.build import build
from foveal.export.external_data import ALIGNMENT, packed, unpacked
from foveal.export.writing import Target
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings, open_session
from foveal.packages.package import Graph, ModelPackage
from tests.helpers import runs
from tests.helpers.commandline import foveal

SIZES = (400, 3, 5000, 256)  # floats of each tensor; those of 1 kB or more may leave the file


def sums() -> onnx.ModelProto:
    """y = x plus the sum of each of four tensors."""
    tensors = [numpy_helper.from_array(np.arange(n, dtype=np.float32) / n, f"w{i}") for i, n in enumerate(SIZES)]
    nodes = []
    for i in range(len(SIZES)):
        nodes += [
            helper.make_node("ReduceSum", [f"w{i}"], [f"sum{i}"], keepdims=0),
            helper.make_node("Add", [f"x{i}" if i else "x", f"sum{i}"], [f"x{i + 1}" if i < 3 else "y"]),
        ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "sums", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def answer(graph: Graph) -> float:
    session, _ = open_session(graph.model, SessionSettings(threads=1), weights=graph.weights)
    return float(session.run(["y"], {"x": np.array(0.5, np.float32)})[0])


EXPECTED = 0.5 + sum(float((np.arange(n) / n).sum()) for n in SIZES)


def test_weights_that_fit_stay_inside() -> None:
    graph = packed(sums(), inline_bytes=4 * sum(SIZES))
    assert graph == Graph(sums().SerializeToString(deterministic=True))
    assert answer(graph) == pytest.approx(EXPECTED, rel=1e-6)


def test_weights_that_do_not_fit_move_out_and_the_graph_answers_the_same(tmp_path: Path) -> None:
    graph = packed(sums(), inline_bytes=4 * sum(SIZES) - 1)
    assert graph == packed(sums(), inline_bytes=0)  # the same bytes each time
    assert answer(graph) == pytest.approx(EXPECTED, rel=1e-6)
    model = onnx.load_from_string(graph.model)
    outside = {t.name for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL}
    assert outside == {"w0", "w2", "w3"}
    for name, content in graph.files.items():  # ONNX's own reader finds the same weights
        (tmp_path / name).write_bytes(content)
    load_external_data_for_model(model, str(tmp_path))
    for ours, original in zip(model.graph.initializer, sums().graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(ours), numpy_helper.to_array(original))


def test_tensors_begin_on_pages() -> None:
    tensors = unpacked(packed(sums(), inline_bytes=0), start=10 * ALIGNMENT).graph.initializer
    offsets = [int(e.value) for t in tensors for e in t.external_data if e.key == "offset"]
    assert offsets == [10 * ALIGNMENT, 11 * ALIGNMENT, 16 * ALIGNMENT]


def test_what_is_outside_already_stays_where_it_is() -> None:
    first = packed(sums(), inline_bytes=0)
    again = packed(unpacked(first), first.weights, inline_bytes=0)
    assert again == first


def test_a_graph_that_is_none_is_refused_inside_and_outside() -> None:
    for inline_bytes in (10**6, 0):
        wrong = sums()
        wrong.graph.node[-1].input[0] = "nowhere"
        with pytest.raises(onnx.checker.ValidationError):
            packed(wrong, inline_bytes=inline_bytes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    return runs.classifier_run(tmp_path_factory.mktemp("lenet"), "lenet5_modern", model_input=32)


@pytest.fixture(scope="module")
def zoo(run: runs.Run) -> Path:
    """The same checkpoint, `inside` and with its weights `beside`; and their `mean`."""
    zoo = run.path.parent / "zoo"
    for name, inline_bytes in (("inside", 10**9), ("beside", 1000)):
        target = Target.of(zoo / name / "1")
        build(runs.checkpoint_of(run), run.data.splits.test, target, max_batch=2, inline_bytes=inline_bytes)
    out = zoo / "mean" / "1"
    code, _, talk = foveal("ensemble", "inside", "beside", "--zoo", zoo, "--data", run.root, "--out", out)
    assert code == 0, talk
    return zoo


@pytest.mark.parametrize("name", ["beside", "mean"])
def test_a_package_with_external_data_is_whole(zoo: Path, name: str) -> None:
    assert (zoo / name / "1" / "model.onnx.data").stat().st_size > 10_000
    assert "model.onnx.data" in (zoo / name / "1" / "SHA256SUMS").read_text()
    code, printed, _ = foveal("verify", name, "--zoo", zoo)
    assert (code, printed.count("ok ")) == (0, 4)


def test_weights_inside_and_beside_answer_alike(zoo: Path, run: runs.Run) -> None:
    image = run.data.splits.test[0].path
    inside, beside, mean = (
        Predictor(ModelPackage.open(zoo / name / "1"))(image) for name in ("inside", "beside", "mean")
    )
    np.testing.assert_array_equal(inside.scores, beside.scores)
    np.testing.assert_allclose(mean.scores, inside.scores, atol=1e-6)


def test_predict_writes_the_same_lines(zoo: Path, run: runs.Run) -> None:
    printed = [foveal("predict", run.root, "--model", name, "--zoo", zoo)[1] for name in ("inside", "beside")]
    assert printed[0].count("\n") == 36
    assert printed[0] == printed[1]
