"""A stub class-map graph: pixels brighter than 100 in red are `bright`, all others `dark`."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Predictor
from foveal.options import Defaults
from foveal.packages.manifest import Manifest, Tensor
from foveal.packages.package import ModelPackage
from tests.helpers.packages import colour_manifest

LABELS = ("dark", "bright")


def bright_graph(input_hw: tuple[int, int]) -> bytes:
    """images -> class_map: 1 where the red channel is over 100; confidence is always 255."""
    constants = {"red": np.array([0], np.int64), "limit": np.array(100, np.uint8), "full": np.array(255, np.uint8)}
    nodes = [
        helper.make_node("Gather", ["images", "red"], ["plane"], axis=3),
        helper.make_node("Squeeze", ["plane", "last"], ["flat"]),
        helper.make_node("Greater", ["flat", "limit"], ["above"]),
        helper.make_node("Cast", ["above"], ["class_map"], to=TensorProto.UINT8),
        helper.make_node("BitwiseOr", ["class_map", "full"], ["confidence"]),
    ]
    constants["last"] = np.array([3], np.int64)
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *input_hw, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", *input_hw])
            for name in ("class_map", "confidence")
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def bright_manifest(preprocess: Preprocess) -> Manifest:
    model_input = preprocess.input_hw
    return colour_manifest(
        name="bright",
        task="semantic-segmentation",
        labels=LABELS,
        preprocess=preprocess,
        defaults=Defaults(mask_format="png"),
        inputs=(Tensor(name="images", dtype="uint8", shape=("batch", *model_input, 3)),),
        outputs=tuple(
            Tensor(name=n, dtype="uint8", shape=("batch", *model_input)) for n in ("class_map", "confidence")
        ),
    )


def bright_predictor(preprocess: Preprocess) -> Predictor:
    model = bright_graph(preprocess.input_hw)
    onnx.checker.check_model(model)
    return Predictor(ModelPackage.unsaved(bright_manifest(preprocess), model))
