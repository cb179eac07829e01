"""Instance-id maps: images/ and masks/ with a PNG or TIFF of the same stem; pixel value = instance, 0 = background.

The smallest format for objects that do not overlap, and it can hold no more than one class, which the recipe names
(`instance_label`). 1 to 32 bit; ids need not be consecutive; a map's stem may end in `_mask` or the like.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import read_header
from foveal.metrics.truth import ObjectTruth, Rle
from foveal.models.data.dataset import Sample
from foveal.models.detection.layouts.truth import objects
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading

ENDINGS = ("", "_mask", "_masks", "_instances", "_instance", "_instanceids", "_labels", "_label", "_seg", "_gt")
FOLDERS = ("masks", "mask", "instances", "instance_masks")


def read_idmaps(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one."""
    maps = [path for path in folder.listing.images if _above(path, folder, FOLDERS)]
    images = [path for path in folder.listing.images if _above(path, folder, ("images", "image", "img"))]
    if not (maps and images):
        return None
    of_stem = {normalized(path.stem).lower(): path for path in maps}
    pairs = {image: _map_of(image, of_stem) for image in images}
    samples, findings, values = [], [], set()
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(_read, pairs.items()))
    for image, one in zip(images, read, strict=True):
        name = folder.name_of(image)
        if isinstance(one, tuple):
            findings.append(Finding(one[0], name, one[1]))
            continue
        values.update(np.unique(one).tolist())
        samples.append(Sample(name, image, truth_of_ids(one)))
    findings += _foreground(values, len(samples))
    split_of = {s.name: split for s in samples if (split := folder.split_of(s.path))}
    return Reading("instance-id maps", (recipe.instance_label,), tuple(samples), split_of, tuple(findings))


def _above(path: Path, folder: DataFolder, names: tuple[str, ...]) -> bool:
    return any(part.lower() in names for part in path.relative_to(folder.base).parts[:-1])


def _map_of(image: Path, of_stem: dict[str, Path]) -> Path | None:
    stem = normalized(image.stem).lower()
    return next((found for ending in ENDINGS if (found := of_stem.get(f"{stem}{ending}"))), None)


def _read(pair: tuple[Path, Path | None]) -> npt.NDArray[np.int64] | tuple[str, str]:
    """The map of an image, or the kind and the detail of what is wrong."""
    image, path = pair
    if path is None:
        return "missing mask", "no file of that stem in masks/"
    try:
        ids, image_hw = read_ids(path), read_header(image.read_bytes()).image_hw
    except (BadImage, OSError) as error:
        return "unreadable image", str(error)
    except BadData as error:
        return "unreadable annotation", str(error)
    if ids.shape != image_hw:
        return "mask size", f"expected a map of {image_hw} (height, width), got {ids.shape}"
    return ids


def _foreground(values: set[int], count: int) -> Iterator[Finding]:
    """Maps that hold one value only are masks of foreground: all that touches no longer comes apart."""
    if count > 1 and len(values - {0}) == 1 and values - {0} <= {1, 255}:
        detail = f"{sorted(values)} in all maps: foreground, not instances; each image is taken for one object"
        yield Finding("mapped", "masks", detail)


def read_ids(path: Path) -> npt.NDArray[np.int64]:
    """(height, width) instance ids of a PNG or TIFF."""
    try:
        with Image.open(path, formats=("PNG", "TIFF")) as opened:
            ids = np.asarray(opened)
    except Exception as error:  # Pillow raises many types on damaged files
        raise BadData(f"{path}: expected a PNG or TIFF of instance ids: {error}") from None
    if ids.ndim != 2:
        raise BadData(f"{path}: expected one channel of instance ids, got shape {ids.shape}")
    if not np.isfinite(ids).all() or (ids < 0).any() or (ids != np.floor(ids)).any():
        raise BadData(f"{path}: expected whole numbers from 0, got others")
    return ids.astype(np.int64)


def truth_of_ids(ids: npt.NDArray[np.int64]) -> ObjectTruth:
    """One object an id, in the order of ids; a split instance (an id in several pieces) stays one object."""
    height, width = ids.shape
    flat = ids.ravel(order="F")
    inside = np.flatnonzero(flat)
    inside = inside[np.argsort(flat[inside], kind="stable")]  # the pixels of one id together, column by column
    _, starts = np.unique(flat[inside], return_index=True)
    rles: list[Rle] = []
    boxes = []
    for pixels in np.split(inside, starts[1:]) if len(inside) else ():
        xs, ys = np.divmod(pixels, height)
        boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        breaks = np.flatnonzero(np.diff(pixels) > 1)
        first, last = pixels[np.append(0, breaks + 1)], pixels[np.append(breaks, -1)] + 1
        counts = np.diff([0, *np.column_stack([first, last]).ravel().tolist(), flat.size]).tolist()
        counts = counts[:-1] if counts[-1] == 0 else counts  # the last run reaches the last pixel
        coded = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        rles.append({"size": [height, width], "counts": coded["counts"].decode()})
    return objects(boxes, [0] * len(boxes), (height, width), masks=rles)
