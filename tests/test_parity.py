"""The proof must pass honest graphs and catch damaged ones: 1 % on ANY single convolution, not on a lucky one."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import runs

from foveal.errors import ParityFailure
from foveal.export.base import Comparison
from foveal.export.build import describe, parity_pictures
from foveal.export.classification import ClassificationExporter
from foveal.export.parity import _worst, prove
from foveal.export.probes import ODD_SIZES_HW, probes
from foveal.predictor import Pipeline
from foveal.scenes import STYLES
from foveal.session import SessionSettings, open_session

EXPORTER = ClassificationExporter()


class Proof:
    """One random network, traced once; `of` proves any graph against it."""

    def __init__(self, folder: Path, backbone: str) -> None:
        run = runs.classifier_run(folder, backbone)
        checkpoint = runs.checkpoint_of(run)
        self.graph = EXPORTER.trace(checkpoint)
        self.draft = describe(checkpoint, name="x", number=1, max_batch=3)
        self.reference = Pipeline(self.draft, EXPORTER.reference(checkpoint), "torch")
        self.pictures = parity_pictures(run.data.splits.test, self.draft)

    def of(self, graph: bytes, *, max_batch: int = 3):
        pipeline = Pipeline(self.draft, *open_session(graph, SessionSettings(threads=1)))
        return prove(EXPORTER, self.reference, pipeline, self.pictures, max_batch=max_batch)


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return Proof(tmp_path_factory.mktemp("squeezenet"), "squeezenet1_1")


def convolutions(graph: bytes) -> list[str]:
    """Names of the weights of every convolution and of the linear head."""
    return [n.input[1] for n in onnx.load_from_string(graph).graph.node if n.op_type in ("Conv", "Gemm")]


def scaled(graph: bytes, weights: str, factor: float) -> bytes:
    model = onnx.load_from_string(graph)
    item = next(item for item in model.graph.initializer if item.name == weights)
    item.raw_data = (np.frombuffer(item.raw_data, np.float32) * np.float32(factor)).tobytes()
    return model.SerializeToString()


def test_an_honest_graph_passes_with_room_to_spare(proof: Proof) -> None:
    parity = proof.of(proof.graph)
    assert parity.batch_sizes == (1, 2, 3)
    assert parity.images == len(proof.pictures)
    assert 0 < parity.measured["logits_max_abs"] < parity.measured["logits_bound"] / 20


def test_one_percent_on_any_convolution_is_caught(proof: Proof) -> None:
    names = convolutions(proof.graph)
    assert len(names) == 26  # 25 convolutions and the head
    for name in names:
        with pytest.raises(ParityFailure, match="got a difference of"):
            proof.of(scaled(proof.graph, name, 1.01), max_batch=1)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet18", "efficientnet_b0", "efficientnet_lite0"])
def test_one_percent_on_any_convolution_of_other_backbones(backbone: str, tmp_path: Path) -> None:
    proof = Proof(tmp_path, backbone)
    proof.of(proof.graph)
    for name in convolutions(proof.graph):
        with pytest.raises(ParityFailure):
            proof.of(scaled(proof.graph, name, 1.01), max_batch=1)


def test_a_graph_that_is_wrong_in_batches_only_is_caught(proof: Proof) -> None:
    """The mean over the batch is added, less itself at N = 1: single pictures are right, batches are not."""
    model = onnx.load_from_string(proof.graph)
    model.graph.node[-1].output[0] = "right"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "axis"))
    model.graph.node.extend(
        [
            onnx.helper.make_node("ReduceMean", ["right", "axis"], ["batch_mean"], keepdims=1),
            onnx.helper.make_node("Sub", ["right", "batch_mean"], ["rest"]),
            onnx.helper.make_node("Sub", ["right", "rest"], ["logits"]),
        ]
    )
    with pytest.raises(ParityFailure, match=r"pictures: batch of 2: .*; batch of 3: "):
        proof.of(model.SerializeToString())


def logits(*rows: list[float]) -> list[dict[str, np.ndarray]]:
    return [{"logits": np.array(row, np.float32)} for row in rows]


def test_the_bound_shrinks_with_small_logits() -> None:
    want = logits([0.01, 0.0], [0.0, 0.01])
    assert not EXPORTER.compare(want, want).failures
    assert EXPORTER.compare(want, logits([0.0101, 0.0], [0.0, 0.01])).failures


def test_first_classes_may_swap_only_when_they_are_level() -> None:
    level, clear = logits([5.0, 5.0005, 0.0], [0, 9, 0]), logits([5.0, 5.0018, 0.0], [0, 9, 0])
    assert not EXPORTER.compare(level, logits([5.0006, 5.0001, 0.0], [0, 9, 0])).failures
    found = EXPORTER.compare(clear, logits([5.00095, 5.0009, 0.0], [0, 9, 0]))
    assert found.failures == ("first class: expected the same for all 2 pictures, got 1 that differ",)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_fail(wrong: float) -> None:
    assert EXPORTER.compare(logits([1.0, 2.0]), logits([1.0, wrong])).failures


def test_probes_are_of_odd_sizes_and_every_style() -> None:
    found = probes((64, 48))
    assert {rgb.shape[:2] for rgb in found.values()} >= {(64, 48), *ODD_SIZES_HW}
    assert all(rgb.dtype == np.uint8 and rgb.shape[2] == 3 for rgb in found.values())
    assert {name for name in found if name.startswith("drawn")} == {f"drawn {style}" for style in STYLES}


def test_the_worst_of_every_figure_is_kept_over_proofs_that_measure_different_things() -> None:
    measured: dict[str, float] = {}
    for found in ({"before_px": 0.2}, {"before_px": 0.1}, {"after_px": 0.3}):
        measured = _worst(measured, Comparison(found, ()))
    assert measured == {"before_px": 0.2, "after_px": 0.3}
