"""Stub detectors, made without torch: graphs that find the bounding box of pure red, green and blue on the model input.

Both families of signatures (foveal.tasks.object_detection). A model input shows at most one object a colour; its score
is SCORES[class]. Whoever draws rectangles knows the right answer in original pixels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import SessionSettings, open_session
from foveal.options import Defaults
from foveal.packages.manifest import Manifest, Tensor
from tests.helpers.packages import COLOURS, colour_manifest

SCORES = (0.9, 0.8, 0.7)
BACKGROUND = (0, 0, 0)
RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def _finder(input_hw: tuple[int, int]) -> tuple[list[Any], dict[str, npt.NDArray[Any]]]:
    """Nodes that turn `images` and `content_hw` into found_boxes (N, 3, 4), found_scores (N, 3)."""
    height, width = input_hw
    node = helper.make_node
    constants = {
        "half": np.array(128, np.float32),
        "axis_channel": np.array([3], np.int64),
        "axis_y": np.array([1], np.int64),
        "axis_x": np.array([2], np.int64),
        "only_axis_1": np.array([1], np.int64),
        "one": np.array(1, np.float32),
        "x_from_left": np.arange(1, width + 1, dtype=np.float32)[:, None],
        "x_from_right": np.arange(width, 0, -1, dtype=np.float32)[:, None],
        "y_from_top": np.arange(1, height + 1, dtype=np.float32)[:, None],
        "y_from_bottom": np.arange(height, 0, -1, dtype=np.float32)[:, None],
        "width": np.array(width, np.float32),
        "height": np.array(height, np.float32),
        "scores_of_classes": np.array(SCORES, np.float32),
        "zero_hw": np.array(0, np.float32),
    }
    nodes = [
        node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        node("GreaterOrEqual", ["pixels", "half"], ["bright_bool"]),
        node("Cast", ["bright_bool"], ["bright"], to=TensorProto.FLOAT),
        node("ReduceSum", ["bright", "axis_channel"], ["bright_channels"], keepdims=1),
        node("Equal", ["bright_channels", "one"], ["pure_bool"]),  # exactly one channel: a pure colour
        node("Cast", ["pure_bool"], ["pure"], to=TensorProto.FLOAT),
        node("Mul", ["bright", "pure"], ["mask"]),  # (N, H, W, 3)
        node("ReduceMax", ["mask", "axis_y"], ["columns"], keepdims=0),  # (N, W, 3)
        node("ReduceMax", ["mask", "axis_x"], ["rows"], keepdims=0),  # (N, H, 3)
    ]
    for edge, seen, ramp, side in (
        ("x2", "columns", "x_from_left", None),
        ("x1", "columns", "x_from_right", "width"),
        ("y2", "rows", "y_from_top", None),
        ("y1", "rows", "y_from_bottom", "height"),
    ):
        nodes += [
            node("Mul", [seen, ramp], [f"{edge}_ramp"]),
            node("ReduceMax", [f"{edge}_ramp", "only_axis_1"], [f"{edge}_far"], keepdims=0),
            node("Sub", [side, f"{edge}_far"], [edge]) if side else node("Identity", [f"{edge}_far"], [edge]),
        ]
    constants["last_axis"] = np.array([2], np.int64)
    nodes += [node("Unsqueeze", [edge, "last_axis"], [f"{edge}_column"]) for edge in ("x1", "y1", "x2", "y2")]
    nodes += [
        node("Concat", ["x1_column", "y1_column", "x2_column", "y2_column"], ["raw_boxes"], axis=2),
        # content_hw is used, as a real detector does: boxes never leave the content
        node("Split", ["content_hw"], ["content_h", "content_w"], axis=1, num_outputs=2),
        node("Concat", ["content_w", "content_h", "content_w", "content_h"], ["content_flat"], axis=1),
        node("Unsqueeze", ["content_flat", "only_axis_1"], ["content_4"]),  # (N, 1, 4)
        node("Min", ["raw_boxes", "content_4"], ["found_boxes"]),
        node("ReduceMax", ["columns", "only_axis_1"], ["seen"], keepdims=0),  # (N, 3)
        node("Mul", ["seen", "scores_of_classes"], ["found_scores"]),
    ]
    return nodes, constants


def one_stage_graph(input_hw: tuple[int, int]) -> bytes:
    """boxes (N, 3, 4), scores (N, 3), class_ids (N, 3)."""
    nodes, constants = _finder(input_hw)
    constants["ids"] = np.array([[0, 1, 2]], np.int64)
    nodes += [
        helper.make_node("Identity", ["found_boxes"], ["boxes"]),
        helper.make_node("Identity", ["found_scores"], ["scores"]),
        helper.make_node("Shape", ["found_scores"], ["shape_n3"]),
        helper.make_node("Expand", ["ids", "shape_n3"], ["class_ids"]),
    ]
    outputs = {"boxes": ("FLOAT", ["n", 3, 4]), "scores": ("FLOAT", ["n", 3]), "class_ids": ("INT64", ["n", 3])}
    return _model(input_hw, nodes, constants, outputs, thresholds=False)


def two_stage_graph(input_hw: tuple[int, int], soft: npt.NDArray[np.float32] | None = None) -> bytes:
    """boxes (M, 4), scores (M,), class_ids (M,), image_index (M,) and, with `soft` (m, m), that mask for every row."""
    node = helper.make_node
    nodes, constants = _finder(input_hw)
    constants |= {"as_column": np.array([-1, 1], np.int64), "classes": np.array(3, np.int64)}
    constants |= {"flat_boxes_shape": np.array([-1, 4], np.int64), "flat_shape": np.array([-1], np.int64)}
    constants["tiny"] = np.array(0, np.float32)
    nodes += [
        node("Reshape", ["score_threshold", "as_column"], ["threshold_column"]),
        node("Greater", ["found_scores", "threshold_column"], ["above"]),
        node("Cast", ["above"], ["above_float"], to=TensorProto.FLOAT),
        node("Mul", ["iou_threshold", "tiny"], ["unused_iou"]),  # one object a class: NMS has nothing to do
        node("Add", ["above_float", "unused_iou"], ["keep"]),
        node("Reshape", ["keep", "flat_shape"], ["keep_flat"]),
        node("NonZero", ["keep_flat"], ["kept_rows_2d"]),
        node("Reshape", ["kept_rows_2d", "flat_shape"], ["kept_rows"]),
        node("Reshape", ["found_boxes", "flat_boxes_shape"], ["boxes_flat"]),
        node("Reshape", ["found_scores", "flat_shape"], ["scores_flat"]),
        node("Gather", ["boxes_flat", "kept_rows"], ["boxes"]),
        node("Gather", ["scores_flat", "kept_rows"], ["scores"]),
        node("Mod", ["kept_rows", "classes"], ["class_ids"]),
        node("Div", ["kept_rows", "classes"], ["image_index"]),
    ]
    outputs = {"boxes": ("FLOAT", ["m", 4]), "scores": ("FLOAT", ["m"])}
    outputs |= {"class_ids": ("INT64", ["m"]), "image_index": ("INT64", ["m"])}
    if soft is not None:
        constants |= {"soft": soft[None].astype(np.float32), "soft_hw": np.array(soft.shape, np.int64)}
        nodes += [
            node("Shape", ["kept_rows"], ["count"]),
            node("Concat", ["count", "soft_hw"], ["masks_shape"], axis=0),
            node("Expand", ["soft", "masks_shape"], ["masks"]),
        ]
        outputs["masks"] = ("FLOAT", ["m", *soft.shape])
    return _model(input_hw, nodes, constants, outputs, thresholds=True)


def _model(input_hw: tuple[int, int], nodes: Any, constants: Any, outputs: Any, *, thresholds: bool) -> bytes:
    value = helper.make_tensor_value_info
    inputs = [
        value("images", TensorProto.UINT8, ["n", *input_hw, 3]),
        value("content_hw", TensorProto.FLOAT, ["n", 2]),
    ]
    if thresholds:
        inputs += [value("score_threshold", TensorProto.FLOAT, ["n"]), value("iou_threshold", TensorProto.FLOAT, [])]
    graph = helper.make_graph(
        nodes,
        "find_colours",
        inputs,
        [value(name, getattr(TensorProto, dtype), shape) for name, (dtype, shape) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def detector_manifest(
    model: bytes, *, input_hw: tuple[int, int], mode: str = "letterbox", max_detections: int = 100, **changes: Any
) -> Manifest:
    """A manifest whose inputs, outputs and task are read from the graph."""
    graph = onnx.load_from_string(model).graph
    masks = any(output.name == "masks" for output in graph.output)
    fields = {
        "task": "instance-segmentation" if masks else "object-detection",
        "name": "rectangles",
        "architecture": "colour finder",
        "preprocess": Preprocess(mode=mode, input_hw=input_hw),
        "defaults": Defaults(
            score_threshold=0.5,
            iou_threshold=0.5,
            max_detections=max_detections,
            mask_format="rle" if masks else None,
        ),
        "inputs": tuple(_tensor(value) for value in graph.input),
        "outputs": tuple(_tensor(value) for value in graph.output),
        "labels": COLOURS,
    }
    return colour_manifest(**(fields | changes))


def _tensor(value: Any) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(d.dim_param or d.dim_value for d in kind.shape.dim)
    return Tensor(name=value.name, dtype=str(helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape=shape)


def pipeline(model: bytes, **manifest: Any) -> Pipeline:
    """A ready Pipeline around a stub graph."""
    session, provider = open_session(model, SessionSettings(threads=1))
    return Pipeline(detector_manifest(model, **manifest).pipeline, session, provider)


def scene(image_hw: tuple[int, int], rectangles: dict[str, tuple[int, int, int, int]]) -> npt.NDArray[np.uint8]:
    """An RGB image with one filled rectangle (x1, y1, x2, y2) a colour, edges exclusive at x2, y2."""
    rgb = np.zeros((*image_hw, 3), np.uint8)
    for colour, (x1, y1, x2, y2) in rectangles.items():
        rgb[y1:y2, x1:x2] = RGB[colour]
    return rgb
