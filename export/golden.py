"""Golden images: small drawings, and what the package answers to them on the machine that built it."""

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.formats import to_json
from foveal.inference.pipeline import Pipeline
from foveal.inference.verify import golden_entry


def golden_files(pipeline: Pipeline, drawings: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, bytes]:
    """File name inside golden/ -> bytes: a PNG and its expected JSON entry for every drawing (H, W, 3) uint8 RGB."""
    files = {}
    for name, rgb in drawings.items():
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "PNG", optimize=True)
        files[f"{name}.png"] = file.getvalue()
        files[f"{name}.json"] = to_json(golden_entry(pipeline, name, file.getvalue()))
    return files
