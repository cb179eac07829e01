"""What `foveal verify` refuses although every sha256 is right: packages whose parts do not belong together."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from foveal.errors import BadPackage
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import check_batches, check_graph, graph_tensors
from foveal.packages.manifest import Manifest, Tensor
from foveal.packages.package import ModelPackage
from tests.helpers import packages
from tests.helpers.commandline import foveal


def predictor(manifest: Manifest, model: bytes) -> Predictor:
    golden = packages.golden_files(packages.colour_manifest(), packages.mean_colour_graph((8, 8)))
    return Predictor(ModelPackage.unsaved(manifest, model, golden))


def batch_dependent_graph() -> bytes:
    """The mean-colour classifier whose logits are summed up along the batch: right for the first image only."""
    model = onnx.load_from_string(packages.mean_colour_graph((8, 8)))
    model.graph.node[-1].output[0] = "alone"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "batch_axis"))
    model.graph.node.append(helper.make_node("CumSum", ["alone", "batch_axis"], ["logits"]))
    return model.SerializeToString()


def test_tensors_are_read_off_the_graph() -> None:
    manifest = packages.colour_manifest()
    found = graph_tensors(predictor(manifest, packages.mean_colour_graph((8, 8))).session)
    assert found == (manifest.pipeline.inputs, manifest.pipeline.outputs)


def test_an_honest_package_passes() -> None:
    honest = predictor(packages.colour_manifest(), packages.mean_colour_graph((8, 8)))
    check_graph(honest)
    check_batches(honest)


def test_a_manifest_with_other_outputs_is_refused() -> None:
    wrong = packages.colour_manifest(outputs=(Tensor(name="logits", dtype="float32", shape=("batch", 4)),))
    with pytest.raises(BadPackage, match=r"outputs of model.onnx: expected logits float32 \[batch, 4\], got .*, 3\]"):
        check_graph(predictor(wrong, packages.mean_colour_graph((8, 8))))


def test_a_manifest_with_another_input_is_refused() -> None:
    graph = packages.mean_colour_graph((8, 8))
    wrong = packages.colour_manifest(input_hw=(8, 9))
    with pytest.raises(BadPackage, match=r"inputs of model\.onnx"):
        check_graph(predictor(wrong, graph))
    mixed = wrong.pipeline.model_copy(update={"inputs": packages.colour_manifest().pipeline.inputs})
    with pytest.raises(BadPackage, match="first input of model inputs"):
        check_graph(predictor(wrong.model_copy(update={"pipeline": mixed}), graph))


def test_a_graph_that_is_wrong_in_batches_is_refused() -> None:
    with pytest.raises(BadPackage, match=r"a batch of 2, golden/warm.png: expected what it gives alone"):
        check_batches(predictor(packages.colour_manifest(), batch_dependent_graph()))


def test_the_command_exits_1_for_a_golden_result_that_is_not_met(tmp_path: Path) -> None:
    golden = packages.golden_files(packages.colour_manifest(), packages.mean_colour_graph((8, 8)))
    golden["warm.json"] = golden["warm.json"].replace(b'"score":0.9', b'"score":0.8')
    path = packages.write_colours(tmp_path, golden=golden)
    code, printed, talk = foveal("verify", path)
    assert code == 1
    assert printed.count("ok ") == 3
    assert "golden/warm.png" in talk


def test_the_command_proves_by_name(tmp_path: Path) -> None:
    packages.write_colours(tmp_path)
    code, printed, _ = foveal("verify", "colours", "--zoo", tmp_path)
    assert (code, printed.count("ok ")) == (0, 4)
