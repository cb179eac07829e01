"""Writing of packages: where one goes (`Target`), its golden and example images, and the checks before it is written.

Needs no torch.
"""

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadImage, BadOutput
from foveal.formats import to_json
from foveal.imaging.sources import load
from foveal.inference.pipeline import Pipeline, Predictor
from foveal.inference.verify import check_batches, check_golden, check_graph, golden_entry
from foveal.packages.manifest import MAX_NAME, NAME_PATTERN, Manifest
from foveal.packages.package import Graph, ModelPackage

MAX_EXAMPLES = 12
EXAMPLE_PX = 800  # longest side of an example image: a package stays small
Drawings = Mapping[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Target:
    """Where a package goes: zoo/<name>/<version>."""

    path: Path
    name: str
    version: int

    @classmethod
    def of(cls, path: Path) -> "Target":
        """Read name and version off the folder.

        Raises:
            BadOutput: it exists, its last part is no whole number, or nothing can be written there.
        """
        path = path.absolute()
        if path.exists():
            raise BadOutput(f"{path}: expected a folder that does not exist yet")
        if not path.name.isdigit():
            raise BadOutput(f"{path}: expected <name>/<version> with a whole number as version, got {path.name!r}")
        name = path.parent.name
        if not re.fullmatch(NAME_PATTERN, name) or len(name) > MAX_NAME:
            raise BadOutput(
                f"{path}: expected a name of lower-case letters, digits and hyphens, at most {MAX_NAME}, got {name!r}"
            )
        above = next(parent for parent in path.parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise BadOutput(f"{path}: expected a folder that can be made; {above} takes none")
        return cls(path, name, int(path.name))


def example_images(paths: Sequence[Path]) -> dict[str, npt.NDArray[np.uint8]]:
    """Golden name -> (H, W, 3) uint8 RGB of a user's example images, upright, at most 800 px a side.

    Only pixels are taken: what a photo says about place, time and camera stays outside the package.

    Raises:
        BadImage: one cannot be read. BadOutput: too many.
    """
    if len(paths) > MAX_EXAMPLES:
        raise BadOutput(f"expected at most {MAX_EXAMPLES} example images, got {len(paths)}")
    found: dict[str, npt.NDArray[np.uint8]] = {}
    for path in paths:
        try:
            rgb = load(path).rgb
        except BadImage as error:
            raise BadImage(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
        scale = EXAMPLE_PX / max(rgb.shape[:2])
        if scale < 1:
            width, height = (max(1, round(side * scale)) for side in rgb.shape[1::-1])
            rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        found[_free_name(path.stem, found)] = rgb
    return found


def _free_name(stem: str, taken: Mapping[str, object]) -> str:
    """A golden name: `example-` and what a file system, a URL and a person can read of the file's name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:40] or "image"
    names = [f"example-{plain}", *(f"example-{plain}-{i}" for i in range(2, MAX_EXAMPLES + 1))]
    return next(name for name in names if name not in taken)


def golden_files(pipeline: Pipeline, drawings: Drawings) -> dict[str, bytes]:
    """File name inside golden/ -> bytes: a PNG and its expected JSON entry for every drawing (H, W, 3) uint8 RGB."""
    images = {}
    for name, rgb in drawings.items():
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "PNG", optimize=True)
        images[name] = file.getvalue()
    return answered(pipeline, images)


def answered(pipeline: Pipeline, images: Mapping[str, bytes]) -> dict[str, bytes]:
    """File name inside golden/ -> bytes: PNGs by their golden name, each with what the pipeline answers to it."""
    files = {f"{name}.png": content for name, content in images.items()}
    return files | {f"{name}.json": to_json(golden_entry(pipeline, name, content)) for name, content in images.items()}


def write_verified(target: Target, manifest: Manifest, graph: Graph, text: str, golden: Mapping[str, bytes]) -> str:
    """Write a package once it passes what `foveal verify` checks, while it is still in memory.

    Returns:
        The package's digest.

    Raises:
        BadPackage: it would not verify. BadOutput: it cannot be written.
    """
    unsaved = Predictor(ModelPackage.unsaved(manifest, graph.model, golden, weights=graph.weights))
    check_graph(unsaved)
    check_batches(unsaved)
    check_golden(unsaved)
    return ModelPackage.write(
        target.path, manifest=manifest, model=graph.model, card=text, golden=golden, weights=graph.weights
    )
