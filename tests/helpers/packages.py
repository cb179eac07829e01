"""Tiny model packages for tests, made without torch: an ONNX graph whose right answer anyone can name."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from PIL import Image

from foveal.formats import to_json
from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import golden_entry
from foveal.options import Defaults
from foveal.packages.manifest import Data, Licences, Manifest, Metrics, Parity, PipelineSpec, Tensor
from foveal.packages.package import SUMS, ModelPackage

COLOURS = ("red", "green", "blue")
GAIN = 8.0  # logit of a pure colour; softmax(8, 0, 0) gives it 0.9993


def png(rgb: tuple[int, int, int], size: tuple[int, int] = (12, 10)) -> bytes:
    """An image of (width, height) in one colour."""
    return encoded(Image.new("RGB", size, rgb), "PNG")


def encoded(image: Image.Image, container: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, container, **options)
    return file.getvalue()


def mean_colour_graph(
    input_hw: tuple[int, int], *, cost: int = 0, gain: float | tuple[float, float, float] = GAIN
) -> bytes:
    """images (N, H, W, 3) uint8 -> logits (N, 3): `gain` x the mean of each channel in [0, 1].

    cost: how many Abs nodes the pixels pass on their way; they change nothing and make the graph slow.
    """
    work = [helper.make_node("Abs", [f"float_{i}"], [f"float_{i + 1}"]) for i in range(cost)]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["float_0"], to=TensorProto.FLOAT),
            *work,
            helper.make_node("ReduceMean", [f"float_{cost}", "axes"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "gain"], ["logits"]),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *input_hw, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array((np.array(gain) / 255).astype(np.float32), "gain"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def endless_graph(input_hw: tuple[int, int]) -> bytes:
    """The mean-colour classifier with a Loop in front that never ends."""
    model = onnx.load_from_string(mean_colour_graph(input_hw))
    scalar = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "x": TensorProto.FLOAT}
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sin", ["x"], ["y"])],
        "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in scalar.items()],
        [helper.make_tensor_value_info(*output, []) for output in (("go_on", scalar["go"]), ("y", scalar["x"]))],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    model.graph.node.insert(0, helper.make_node("Loop", ["", "yes", "half"], ["never"], body=body))
    model.graph.output.append(helper.make_tensor_value_info("never", TensorProto.FLOAT, []))
    return bytes(model.SerializeToString())


def hungry_graph(input_hw: tuple[int, int], *, elements: int = 25_000_000_000) -> bytes:
    """The mean-colour classifier beside a tensor of so many float32."""
    model = onnx.load_from_string(mean_colour_graph(input_hw))
    model.graph.initializer.append(numpy_helper.from_array(np.array([elements], np.int64), "huge"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    model.graph.node.extend(
        [
            helper.make_node("Gather", ["float_0", "first"], ["some"], axis=0),
            helper.make_node("ReduceMean", ["some"], ["one"], keepdims=0),
            helper.make_node("Expand", ["one", "huge"], ["much"]),
            helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, []))
    return bytes(model.SerializeToString())


def reseal(package: Path) -> None:
    """Make SHA256SUMS fit whatever files are there now."""
    files = sorted(p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file() and p.name != SUMS)
    lines = (f"{hashlib.sha256((package / n).read_bytes()).hexdigest()}  {n}\n" for n in files)
    (package / SUMS).write_text("".join(lines))


def wide_colour_graph(input_hw: tuple[int, int], *, width: int = 64) -> onnx.ModelProto:
    """The mean-colour classifier with `width` weights a class that hold its gain together."""
    model = onnx.load_from_string(mean_colour_graph(input_hw, gain=1.0))
    model.graph.node[-1].output[0] = "colour"
    share = np.full((width, 3), GAIN / width, np.float32)
    model.graph.initializer.extend(
        [numpy_helper.from_array(share, "shares"), numpy_helper.from_array(np.array([0], np.int64), "width_axis")]
    )
    model.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["shares", "width_axis"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["colour", "sum"], ["logits"]),
        ]
    )
    return model


def write_wide_colours(zoo: Path, name: str = "wide", version: int = 1, *, width: int = 64) -> Path:
    """As `write_colours`, of a graph with external data: model.onnx.data holds 12 * width bytes."""
    manifest = colour_manifest(name=name, version=version)
    model, weights = with_external_data(wide_colour_graph((8, 8), width=width), "shares")
    golden = golden_files(manifest, mean_colour_graph((8, 8)))
    path = zoo / name / str(version)
    ModelPackage.write(path, manifest=manifest, model=model, weights=weights, card=f"# {name}\n", golden=golden)
    return path


def with_external_data(model: onnx.ModelProto, name: str, location: str = "model.onnx.data") -> tuple[bytes, bytes]:
    """The graph with one initializer moved out of it; and the external data."""
    tensor = next(item for item in model.graph.initializer if item.name == name)
    weights = bytes(tensor.raw_data)
    set_external_data(tensor, location, 0, len(weights))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return bytes(model.SerializeToString()), weights


def colour_spec(*, input_hw: tuple[int, int] = (8, 8), **changes: Any) -> PipelineSpec:
    """The pipeline of a mean-colour classifier; `changes` replace fields."""
    fields: dict[str, Any] = {
        "task": "classification",
        "labels": COLOURS,
        "preprocess": Preprocess(mode="stretch", input_hw=input_hw),
        "defaults": Defaults(top_k=3),
        "inputs": (Tensor(name="images", dtype="uint8", shape=("batch", *input_hw, 3)),),
        "outputs": (Tensor(name="logits", dtype="float32", shape=("batch", 3)),),
        "max_batch": 8,
    }
    return PipelineSpec(**(fields | changes))


def colour_manifest(*, input_hw: tuple[int, int] = (8, 8), **changes: Any) -> Manifest:
    """The manifest of a mean-colour classifier; `changes` replace fields, those of its pipeline too."""
    of_pipeline = {name: changes.pop(name) for name in list(changes) if name in PipelineSpec.model_fields}
    fields: dict[str, Any] = {
        "name": "colours",
        "version": 1,
        "architecture": "mean-colour",
        "pipeline": colour_spec(input_hw=input_hw, **of_pipeline),
        "opset": 18,
        "parity": Parity(reference="numpy mean", images=1, batch_sizes=(1,), criterion="exact", measured={"logits": 0}),
        "metrics": Metrics(split="test", images=3, values={"accuracy": 1.0}),
        "data": Data(name="drawn colours", layout="folders", fingerprint="sha256:0", images={"test": 3}),
        "recipe": {},
        "seed": 0,
        "licences": Licences(data="none: drawn", weights="none: no weights"),
    }
    return Manifest(**(fields | changes))


def with_pipeline(manifest: Manifest, **changes: Any) -> Manifest:
    """The manifest with other fields in its pipeline; not validated again."""
    return manifest.model_copy(update={"pipeline": manifest.pipeline.model_copy(update=changes)})


def write_colours(
    zoo: Path,
    name: str = "colours",
    version: int = 1,
    *,
    input_hw: tuple[int, int] = (8, 8),
    cost: int = 0,
    gain: float | tuple[float, float, float] = GAIN,
    golden: dict[str, bytes] | None = None,
    **changes: Any,
) -> Path:
    """Write zoo/<name>/<version>, a whole and valid package that tells red, green and blue apart.

    golden: replaces the golden files, e.g. to make a package that fails its own check.
    """
    manifest = colour_manifest(input_hw=input_hw, name=name, version=version, **changes)
    model = mean_colour_graph(input_hw, cost=cost, gain=gain)
    path = zoo / name / str(version)
    ModelPackage.write(
        path, manifest=manifest, model=model, card=f"# {name}\n", golden=golden or golden_files(manifest, model)
    )
    return path


def golden_files(manifest: Manifest, model: bytes) -> dict[str, bytes]:
    """A golden image and its expected entry, as this machine gives it."""
    unsaved = ModelPackage.unsaved(manifest, model)
    image = png((250, 40, 10))
    return {"warm.png": image, "warm.json": to_json(golden_entry(Predictor(unsaved), "warm", image))}
