"""Contenders of peers.py: for each server its packages, command and request format."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

ROOT = Path(__file__).parents[2]
BOUNDARY = "x7d1f0"
GRAPH = (f"onnxruntime=={onnxruntime.__version__}", "numpy", "pillow")
Body = Callable[[bytes], bytes]


def raw(image: bytes) -> bytes:
    return image


def form(image: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    return head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def base64_json(image: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(image).decode()}).encode()


def v2_json(image: bytes) -> bytes:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "base64"}}
    return json.dumps({"inputs": [tensor | {"data": [base64.b64encode(image).decode()]}]}).encode()


CONTENT_TYPES = {
    raw: "application/octet-stream",
    form: f"multipart/form-data; boundary={BOUNDARY}",
    base64_json: "application/json",
    v2_json: "application/json",
}


@dataclass(frozen=True)
class Contender:
    """One server: packages to install, command, request format."""

    environment: str
    packages: tuple[str, ...]
    command: tuple[str, ...]  # {bin}, {port}, {package}, {zoo}, {here}, {work} are filled in
    path: str = "/detect"
    body: Body = form
    finds: bool = True  # whether its response holds detections


FASTAPI = ("fastapi", "uvicorn[standard]", "python-multipart")
FOVEAL = f"{ROOT}[cpu,serve]"
CONTENDERS: dict[str, Contender] = {
    "Starlette without a model": Contender(
        "fastapi", (*FASTAPI, *GRAPH), ("{bin}/python", "{here}/bare_starlette.py", "{port}"), body=raw, finds=False
    ),
    "Foveal": Contender(
        "foveal", (FOVEAL, *GRAPH), ("{bin}/foveal", "serve", "--port", "{port}", "--zoo", "{zoo}"),
        path="/v1/detect", body=raw,
    ),
    "FastAPI around Foveal's core": Contender(
        "core", (f"{ROOT}[cpu]", *FASTAPI, *GRAPH),
        ("{bin}/python", "{here}/fastapi_core.py", "{port}", "{package}"),
    ),
    "FastAPI": Contender(
        "fastapi", (*FASTAPI, *GRAPH), ("{bin}/python", "{here}/fastapi_obvious.py", "{port}", "{package}")
    ),
    "BentoML typed API": Contender(
        "bentoml", ("bentoml>=1.4.39,<1.5", *GRAPH),
        ("{bin}/bentoml", "serve", "bentoml_typed:Service", "--port", "{port}", "--working-dir", "{here}"),
    ),
    "LitServe": Contender(
        "litserve", ("litserve", *GRAPH), ("{bin}/python", "{here}/litserve_obvious.py", "{port}", "{package}"),
        body=base64_json,
    ),
    "Ray Serve": Contender(
        "ray", ("ray[serve]", *GRAPH), ("{bin}/python", "{here}/ray_obvious.py", "{port}", "{package}"), body=raw
    ),
    "MLServer": Contender(
        "mlserver", ("mlserver", *GRAPH), ("{bin}/mlserver", "start", "{work}"),
        path="/v2/models/detector/infer", body=v2_json,
    ),
}  # fmt: skip
