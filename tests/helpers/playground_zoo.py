"""A zoo with one stub model for each task, and one image whose right results are known."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from foveal.formats import to_json
from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import golden_entry
from foveal.packages.manifest import Manifest
from foveal.packages.package import ModelPackage
from tests.helpers.detectors import detector_manifest, one_stage_graph, scene, two_stage_graph
from tests.helpers.packages import colour_manifest, mean_colour_graph
from tests.helpers.semantic import bright_graph, bright_manifest

HW = (120, 160)  # also every model input: boxes and maps come back to the pixel
RECTANGLES = {"red": (16, 16, 64, 64), "green": (80, 40, 144, 104), "blue": (8, 80, 56, 112)}
LEFT_HALF = np.repeat(np.arange(28) < 14, 28).reshape(28, 28).T.astype(np.float32)  # the soft mask of every object


def png(rgb: np.ndarray) -> bytes:
    """RGB pixels as PNG."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


PIXELS = scene(HW, RECTANGLES)
IMAGE = png(PIXELS)


def write_zoo(folder: Path) -> Path:
    """colours (classification), rectangles (detection), halves (instances), bright (semantic), all version 1."""
    whole = Preprocess(mode="stretch", input_hw=HW)
    detector, masker = one_stage_graph(HW), two_stage_graph(HW, LEFT_HALF)
    write_package(folder, colour_manifest(input_hw=HW), mean_colour_graph(HW))
    write_package(folder, detector_manifest(detector, input_hw=HW), detector)
    write_package(folder, detector_manifest(masker, input_hw=HW, name="halves"), masker)
    write_package(folder, bright_manifest(whole), bright_graph(HW))
    return folder


def write_package(folder: Path, manifest: Manifest, model: bytes) -> None:
    """A whole package with the scene as its golden image and its example."""
    manifest = manifest.model_copy(update={"examples": ("scene",)})
    unsaved = ModelPackage.unsaved(manifest, model)
    golden = {"scene.png": IMAGE, "scene.json": to_json(golden_entry(Predictor(unsaved), "scene", IMAGE))}
    path = folder / manifest.name / str(manifest.version)
    card = f"# {manifest.name}\n\nFinds **what is drawn**.\n\n| a | b |\n|---|---|\n| `1` | 2 |\n"
    ModelPackage.write(path, manifest=manifest, model=model, card=card, golden=golden)
