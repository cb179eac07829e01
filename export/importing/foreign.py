"""Foreign ONNX files (`read_foreign`): read with their external data, checked, and run as they are (`Foreign.run`)."""

import ast
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo

from foveal.errors import BadModelFile
from foveal.export.external_data import aligned, set_external_data_at
from foveal.inference.session import Session, SessionSettings, open_session

Array = npt.NDArray[Any]

DOMAINS = ("", "ai.onnx", "com.microsoft")
OPSETS = (11, 26)  # ai.onnx; the suffixes are written for these
MAX_FILE_BYTES = 2**31 - 1  # of one protobuf message
INPUT_TYPES: Mapping[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
    TensorProto.DOUBLE: "float64",
}
TO_ONNX = {  # a file that holds code or needs its framework -> the command that makes ONNX of it
    ".pt": "yolo export model=FILE format=onnx (Ultralytics), or torch.onnx.export in the program that made it",
    ".pth": "torch.onnx.export in the program that made it",
    ".pt2": "torch.onnx.export(torch.export.load(FILE), dynamo=True)",
    ".torchscript": "yolo export model=FILE.pt format=onnx (Ultralytics), or torch.onnx.export",
    ".safetensors": "optimum-cli export onnx --model FOLDER OUT (Hugging Face), or torch.onnx.export",
    ".h5": "keras.models.load_model(FILE).export('model.onnx', format='onnx')",
    ".keras": "keras.models.load_model(FILE).export('model.onnx', format='onnx')",
    ".pb": "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
    ".tflite": "python -m tf2onnx.convert --tflite FILE --output model.onnx",
    ".xml": "an export to ONNX by the framework that the OpenVINO IR was converted from; IR itself has no way back",
    ".engine": "an export to ONNX by the framework it came from; a TensorRT engine has no way back",
    ".mlmodel": "an export to ONNX by the framework it came from",
}


@dataclass(frozen=True)
class ModelInput:
    """The image input of a foreign graph. A dimension that is None may be of any size."""

    name: str
    dtype: str
    batch: int | None  # None: any; 0: there is no batch axis
    input_hw: tuple[int | None, int | None]
    channels_last: bool

    def layout(self) -> str:
        """In words, for people."""
        order = "HWC" if self.channels_last else "CHW"
        return order if self.batch == 0 else f"N{order}"


@dataclass(frozen=True)
class Foreign:
    """A foreign graph, ready to be run and to be compiled."""

    name: str  # of the file
    sha256: str  # of the file
    model: onnx.ModelProto  # large weights may be in `weights`, to which its tensors then refer
    weights: bytes = field(repr=False)
    images: ModelInput
    size_inputs: tuple[str, ...]  # names of inputs that take (width, height) of the model input
    metadata: Mapping[str, Any]  # literals are parsed; never evaluated

    @property
    def opset(self) -> int:
        """Of ai.onnx."""
        return standard_opset(self.model)

    @property
    def output_names(self) -> list[str]:
        """In the graph's order."""
        return [output.name for output in self.model.graph.output]

    def open(self) -> Session:
        """A session of the file as it is.

        Raises:
            BadModelFile: ONNX Runtime does not take it.
        """
        try:
            return open_session(self.model.SerializeToString(), SessionSettings(), weights=self.weights)[0]
        except Exception as error:  # ONNX Runtime's own classes, by what is wrong with the file
            raise BadModelFile(f"{self.name}: ONNX Runtime does not take it: {one_line(error)}") from None

    def run(self, session: Session, model_input: Array) -> list[Array]:
        """Outputs for (N, C, H, W) or (N, H, W, C), in the dtype that the graph reads."""
        count = len(model_input)
        height, width = model_input.shape[1:3] if self.images.channels_last else model_input.shape[2:4]
        feeds = {self.images.name: model_input[0] if self.images.batch == 0 else model_input}
        feeds |= {name: np.array([[width, height]] * count, np.int64) for name in self.size_inputs}
        try:
            return list(session.run([node.name for node in session.get_outputs()], feeds))
        except Exception as error:
            raise BadModelFile(f"{self.name}: a run on {count} images failed: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """The message of an exception, short."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def read_foreign(path: Path) -> Foreign:
    """Read an ONNX file and all external data beside it.

    Args:
        path: the file. Nothing outside its folder is read.

    Raises:
        BadModelFile: not ONNX, truncated, of an opset or with operators that cannot be run, or not a network that reads
            one image; says which.

    Example:
        >>> from foveal.export.importing.foreign import read_foreign
        >>> read_foreign(Path("yolov8n.onnx")).images.input_hw  # doctest: +SKIP
        (640, 640)
    """
    if (how := TO_ONNX.get(path.suffix.lower())) is not None:
        raise BadModelFile(
            f"{path.name}: expected an ONNX file, got {path.suffix}, which is not read; make one by: {how}"
        )
    content = _content(path)
    model = _parsed(path, content)
    _expect_runnable(path.name, model)
    digest = hashlib.sha256(content).hexdigest()
    model, weights = _with_external_data(path, model)
    metadata = {entry.key: _literal(entry.value) for entry in model.metadata_props}
    images, sizes = _inputs(path.name, model)
    return Foreign(path.name, digest, model, weights, images, sizes, metadata)


def standard_opset(model: onnx.ModelProto) -> int:
    """Version of ai.onnx that a model is written in; 1 where it does not say."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadModelFile(
                f"{path.name}: expected at most {MAX_FILE_BYTES} bytes; larger weights are external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise BadModelFile(f"{path}: cannot be read: {error.strerror}") from None


def _parsed(path: Path, content: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(content)
    except DecodeError:
        raise BadModelFile(
            f"{path.name}: expected an ONNX file, got {len(content)} bytes that are none, or cut"
        ) from None
    if not model.graph.node or not model.graph.output:
        raise BadModelFile(f"{path.name}: expected a graph with operators and outputs, got an empty one")
    return model


def _expect_runnable(name: str, model: onnx.ModelProto) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for node in _nodes(model):
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own:
            known = "ai.onnx or com.microsoft"
            raise BadModelFile(
                f"{name}: expected operators of {known}, got {node.op_type} of the domain {node.domain!r}"
            )
    opset = standard_opset(model)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise BadModelFile(f"{name}: expected opset {OPSETS[0]} to {OPSETS[1]}, got {opset}; export it with another")


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Of the graph, of its subgraphs and of the file's own functions."""
    waiting: list[Any] = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                waiting += graph.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that may have external data: initializers and constants, of subgraphs too."""
    yield from model.graph.initializer
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graph.initializer


def _with_external_data(path: Path, model: onnx.ModelProto) -> tuple[onnx.ModelProto, bytes]:
    """The model with all external data in one block, as a package has it."""
    chunks: list[bytes] = []
    end = 0
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        content = _external(path, tensor)
        start = aligned(end)
        chunks += [bytes(start - end), content]
        end = start + len(content)
        set_external_data_at(tensor, start, len(content))
    return model, b"".join(chunks)


def _external(path: Path, tensor: onnx.TensorProto) -> bytes:
    """The bytes of one tensor. A file elsewhere, also by a symbolic link, is refused: a model names what it likes."""
    place = ExternalDataInfo(tensor)
    where = f"{path.name}: external data of {tensor.name!r}"
    folder = path.absolute().parent.resolve()
    file = (folder / place.location).resolve()
    if not place.location or not file.is_relative_to(folder):
        raise BadModelFile(f"{where}: expected a file in the model's folder, got {place.location[:120]!r}")
    try:
        size = file.stat().st_size
        start = int(place.offset or 0)
        length = int(place.length) if place.length else size - start
        if start < 0 or length < 0 or start + length > size:
            raise BadModelFile(f"{where}: expected bytes {start} to {start + length} of {file.name}, which has {size}")
        with file.open("rb") as opened:
            opened.seek(start)
            return opened.read(length)
    except OSError as error:
        raise BadModelFile(f"{where}: {place.location[:120]!r} cannot be read: {error.strerror}") from None


def _literal(text: str) -> Any:
    """A value of metadata_props: a Python literal if it is one, else the text; nothing is executed."""
    try:
        return ast.literal_eval(text) if len(text) < 1_000_000 else text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _inputs(name: str, model: onnx.ModelProto) -> tuple[ModelInput, tuple[str, ...]]:
    """The one image input; and inputs that take its size, as RT-DETR's own export has."""
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    images = [value for value in inputs if len(_dims(value)) in (3, 4)]
    rest = [value for value in inputs if value not in images]
    sizes = [v for v in rest if v.type.tensor_type.elem_type == TensorProto.INT64 and _dims(v)[1:] == [2]]
    if len(images) != 1 or len(sizes) != len(rest):
        listed = ", ".join(f"{value.name} {_dims(value)}" for value in inputs) or "none"
        raise BadModelFile(f"{name}: expected one image input, (N, 3, H, W) or (N, H, W, 3), got {listed}")
    return _image_input(name, images[0]), tuple(value.name for value in sizes)


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    shape = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in shape]


def _image_input(name: str, value: onnx.ValueInfoProto) -> ModelInput:
    dims, code = _dims(value), int(value.type.tensor_type.elem_type)
    if code not in INPUT_TYPES:
        got = TensorProto.DataType.Name(code)
        raise BadModelFile(f"{name}: expected an image input of float or uint8, got {value.name} of {got}")
    batch: Sequence[int | None] = dims[:-3] or [0]
    channels, *sides = dims[-3:]
    last = channels != 3 and dims[-1] == 3
    if last:
        sides, channels = dims[-3:-1], 3
    if channels not in (3, None):
        raise BadModelFile(f"{name}: expected an image input with three channels, got {value.name} {dims}")
    return ModelInput(value.name, INPUT_TYPES[code], batch[0], (sides[0], sides[1]), last)


def final_operator(model: onnx.ModelProto) -> str:
    """The operator that makes the first output, past those that only change its form; "" for none."""
    makers = {output: node for node in model.graph.node for output in node.output}
    name, kind = model.graph.output[0].name, ""
    for _ in range(len(makers)):
        if name not in makers:
            return ""
        kind = str(makers[name].op_type)
        if kind not in ("Identity", "Cast", "Reshape", "Flatten", "Squeeze"):
            return kind
        name = makers[name].input[0]
    return kind
