"""Real exports of other frameworks answer in Foveal as in their own predictors (`make test-peers`)."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image

import foveal
from foveal import synth
from foveal.export.importing.scripts import SCRIPTS
from foveal.packages.package import ModelPackage
from tests.helpers import commandline
from tests.helpers.servers import Server

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("FOVEAL_PEERS", ROOT / ".venv-peers")) / "bin" / "python"
SCRIPT = Path(__file__).parent / "frameworks"
SIZES_HW = ((480, 640), (427, 640), (640, 427), (449, 601), (333, 500), (700, 520))

ULTRALYTICS = {  # file -> task of the reference script's YOLO(...)
    "yolov8 detect": "detect",
    "yolov8 nms": "detect",
    "yolov8 classify": "classify",
    "yolo11 segment": "segment",
    "yolo26 end-to-end": "detect",
    "yolo26 raw": "detect",
}
TORCH = (
    "DETR",
    "RT-DETR",
    "ViT",
    "SegFormer",
    "timm ResNet",
    "torchvision ResNet",
    "torchvision DeepLab",
    "smp U-Net",
    "Keras",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of odd sizes."""
    folder = tmp_path_factory.mktemp("images")
    for i, image_hw in enumerate(SIZES_HW):
        style = tuple(synth.STYLES)[i % len(synth.STYLES)]
        Image.fromarray(synth.draw(style, image_hw=image_hw, seed=i).rgb).save(folder / f"image{i}.png")
    return folder


def in_peers(*arguments: str | Path, cwd: Path) -> None:
    """Run a script in the peers' environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "YOLO_CONFIG_DIR": str(cwd), "YOLO_OFFLINE": "True"}
    done = subprocess.run([PYTHON, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def imported(folder: Path, images: Path, *flags: str) -> ModelPackage:
    """`foveal import`, with the reference proof."""
    target = folder / "zoo" / "peer" / "1"
    code, _, said = commandline.foveal("import", folder / "model.onnx", "--out", target, "--images", images, *flags)
    assert code == 0, said
    package = ModelPackage.open(target)
    assert package.manifest.imported is not None
    assert package.manifest.imported.reference is not None
    assert package.manifest.imported.reference.measured["agreed_share"] >= 0.999
    return package


@pytest.mark.parametrize("name", ULTRALYTICS)
def test_ultralytics(name: str, images: Path, tmp_path: Path) -> None:
    in_peers(SCRIPT / "ultralytics_files.py", name, tmp_path, images, cwd=tmp_path)
    script = SCRIPTS["ultralytics"].replace("YOLO(sys.argv[1])", f"YOLO(sys.argv[1], task={ULTRALYTICS[name]!r})")
    (tmp_path / "reference.py").write_text(script)
    in_peers("reference.py", "model.onnx", images, cwd=tmp_path)
    package = imported(tmp_path, images, "--reference", str(tmp_path / "reference.json"))
    assert "AGPL" in package.card


def test_ultralytics_dynamic_answers_as_the_static_file(images: Path, tmp_path: Path) -> None:
    in_peers(SCRIPT / "ultralytics_files.py", "yolov8 detect", tmp_path, images, cwd=tmp_path)
    (tmp_path / "reference.py").write_text(SCRIPTS["ultralytics"].replace("argv[1])", "argv[1], task='detect')"))
    in_peers("reference.py", "model.onnx", images, cwd=tmp_path)
    dynamic = tmp_path / "dynamic"
    dynamic.mkdir()
    in_peers(SCRIPT / "ultralytics_files.py", "yolov8 dynamic", dynamic, images, cwd=dynamic)
    package = imported(dynamic, images, "--reference", str(tmp_path / "reference.json"))
    assert package.manifest.pipeline.max_batch == 16


@pytest.mark.parametrize("name", TORCH)
def test_torch_frameworks(name: str, images: Path, tmp_path: Path) -> None:
    in_peers(SCRIPT / "torch_files.py", name, tmp_path, images, cwd=tmp_path)
    imported(tmp_path, images, *json.loads((tmp_path / "flags.json").read_text()))


def test_served_as_on_the_command_line(images: Path, tmp_path: Path) -> None:
    """HTTP gives what the proof was of."""
    in_peers(SCRIPT / "torch_files.py", "DETR", tmp_path, images, cwd=tmp_path)
    imported(tmp_path, images, *json.loads((tmp_path / "flags.json").read_text()))
    model = foveal.load("peer", zoo=tmp_path / "zoo")
    with Server(tmp_path / "zoo", tmp_path / "log") as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for path in sorted(images.iterdir()):
            answer = client.post("/v1/detect", content=path.read_bytes(), params={"score_threshold": 0.05}).json()
            expected = model(path, score_threshold=0.05).to_dict()
            assert answer["results"][0]["detections"] == expected["detections"]
