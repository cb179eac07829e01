"""Instance-id maps: images/ and masks/ with a PNG of the same stem; pixel value = instance, 0 = background.

The smallest format for objects that do not overlap, and it can hold no more than one class, which the recipe names
(`instance_label`). 8 or 16 bit; ids need not be consecutive.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadData
from foveal.imaging.decode import EXTENSIONS
from foveal.metrics.truth import ObjectTruth, Rle
from foveal.models.data.dataset import Sample, listed
from foveal.models.detection.layouts.truth import objects, rle_of
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.reader import Reading


def read_idmaps(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one.

    Raises:
        BadData: an image without a map or a map that is no PNG of ids.
    """
    root = folder.base
    images, maps = root / "images", root / "masks"
    if not (images.is_dir() and maps.is_dir()):
        return None
    photos = sorted(p for p in images.iterdir() if p.suffix.lower() in EXTENSIONS)
    if missing := [p.name for p in photos if not (maps / f"{p.stem}.png").exists()]:
        raise BadData(f"{maps}: expected a PNG for every image, got none for {listed(missing)}")
    samples = tuple(Sample(f"images/{p.name}", p, truth_of_ids(read_ids(maps / f"{p.stem}.png"))) for p in photos)
    return Reading("instance-id maps", (recipe.instance_label,), samples)


def read_ids(path: Path) -> npt.NDArray[np.int64]:
    """(height, width) instance ids of a PNG."""
    try:
        with Image.open(path, formats=("PNG",)) as opened:
            ids = np.asarray(opened)
    except Exception as error:  # Pillow raises many types on damaged files
        raise BadData(f"{path}: expected a PNG of instance ids: {error}") from None
    if ids.ndim != 2:
        raise BadData(f"{path}: expected one channel of instance ids, got shape {ids.shape}")
    return ids.astype(np.int64)


def truth_of_ids(ids: npt.NDArray[np.int64]) -> ObjectTruth:
    """One object an id, in the order of ids; a split instance (an id in several pieces) stays one object."""
    rles: list[Rle] = []
    boxes = []
    for value in np.unique(ids[ids > 0]):
        ys, xs = np.nonzero(ids == value)
        boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        rles.append(rle_of(ids == value))
    return objects(boxes, [0] * len(boxes), (ids.shape[0], ids.shape[1]), masks=rles)
