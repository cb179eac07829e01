"""Layouts of semantic segmentation data, recognised by what is in the folder.

images/ + masks/ (grey or palette PNG of class ids) + classes.txt, with train.txt, val.txt, test.txt if there are; and
COCO JSON, whose objects are painted into maps (layout_coco.py).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import read_header
from foveal.metrics.semantic import IGNORE
from foveal.models.data.dataset import SPLITS, Sample, listed
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Layout, Reader, Reading
from foveal.models.segmentation.layout_coco import read_painted
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.text_files import read_text

UInt8Array = npt.NDArray[np.uint8]
MAX_CLASSES = 255  # ids are bytes, and 255 is IGNORE
ID_MAPS = "images/ and masks/ of class ids"
PAINTED = "COCO JSON, painted"


class Ids(Protocol):
    """Where the class ids of one image come from, as the data set writes them."""

    def read(self) -> UInt8Array:
        """(H, W) ids: places in the data set's list of classes, or IGNORE."""
        ...

    def describe(self) -> str:
        """What the fingerprint is made of."""
        ...


@dataclass(frozen=True)
class MaskFile:
    """A PNG of class ids."""

    path: Path

    def read(self) -> UInt8Array:
        """(H, W) ids."""
        return read_ids(self.path)

    def describe(self) -> str:
        """sha256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class LabelMap:
    """The truth of an image: its ids, and which of them is which label (IGNORE: none)."""

    ids: Ids
    label_of: tuple[int, ...]  # 256 entries: id -> index into the labels, or IGNORE
    classes: int  # ids of the data set's list

    def read(self) -> UInt8Array:
        """(H, W) label indices, IGNORE where nothing counts."""
        return np.asarray(self.label_of, np.uint8)[self.ids.read()]


def read_id_maps(folder: DataFolder, recipe: SegmentationRecipe) -> Reading[LabelMap] | None:
    """images/ and masks/ with classes.txt; without that file it could be instance ids.

    Raises:
        BadData: a list of classes that cannot be one.
    """
    root = folder.base
    if not ((root / "masks").is_dir() and (root / "classes.txt").is_file()):
        return None
    classes = [line.strip() for line in read_text(root / "classes.txt").splitlines() if line.strip()]
    if len(set(classes)) != len(classes) or not 0 < len(classes) <= MAX_CLASSES:
        expected = f"expected 1..{MAX_CLASSES} different names, one a line"
        raise BadData(f"{root / 'classes.txt'}: {expected}, got {len(classes)}: {listed(classes)}")
    images = folder.below(root / "images")
    samples: list[Sample[Ids]] = [
        Sample(folder.name_of(p), p, MaskFile(root / "masks" / f"{p.stem}.png")) for p in images
    ]
    return _labelled(ID_MAPS, classes, samples, _listed_splits(root, samples), (), recipe)


def read_painted_objects(folder: DataFolder, recipe: SegmentationRecipe) -> Reading[LabelMap] | None:
    """COCO JSON, its objects painted into maps."""
    painted = read_painted(folder)
    if painted is None:
        return None
    return _labelled(PAINTED, painted.classes, painted.samples, painted.split_of, painted.findings, recipe)


def _labelled(
    layout: str,
    classes: Sequence[str],
    samples: Sequence[Sample[Any]],
    split_of: Mapping[str, str],
    findings: Sequence[Finding],
    recipe: SegmentationRecipe,
) -> Reading[LabelMap]:
    """`recipe.ignore` (a name or an id) and id 255 count nowhere."""
    ignored = _ignored(recipe.ignore, classes)
    kept = [i for i in range(len(classes)) if i not in ignored]
    labels = tuple(classes[i] for i in kept)
    label_of = tuple(kept.index(i) if i in kept else IGNORE for i in range(256))
    mapped = tuple(Sample(s.name, s.path, LabelMap(s.truth, label_of, len(classes))) for s in samples)
    return Reading(layout, labels, mapped, split_of, tuple(findings))


def examine(reading: Reading[LabelMap], _: SegmentationRecipe) -> Iterator[Finding]:
    """Masks that are missing, of another size, or with ids beyond the list."""
    for sample in reading.samples:
        try:
            expected = read_header(sample.path.read_bytes()).image_hw
        except BadImage as error:
            yield Finding("unreadable image", sample.name, str(error))
            continue
        try:
            ids = sample.truth.ids.read()
        except BadData as error:
            yield Finding("missing mask", sample.name, str(error))
            continue
        if ids.shape != expected:
            detail = f"expected a mask of {expected} (height, width), got {ids.shape}"
            yield Finding("mask size", sample.name, detail)
        classes = sample.truth.classes
        if outside := [int(i) for i in np.unique(ids) if i >= classes and i != IGNORE]:
            detail = f"expected ids below {classes} (or {IGNORE}), got {outside[:10]}"
            yield Finding("class outside the list", sample.name, detail)


def read_ids(path: Path) -> UInt8Array:
    """(H, W) ids of a grey or palette PNG.

    Raises:
        BadData: no such PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as opened:
            ids = np.asarray(opened)
    except FileNotFoundError:
        raise BadData(f"expected masks/{path.name}, got no such file") from None
    except Exception as error:  # Pillow raises many types on damaged files
        raise BadData(f"{path.name}: expected a PNG of class ids: {error}") from None
    if ids.ndim != 2 or ids.dtype not in (np.uint8, np.bool_):
        raise BadData(f"{path.name}: expected one channel of 8-bit class ids, got shape {ids.shape} {ids.dtype}")
    return ids.astype(np.uint8)


def _ignored(ignore: str | int | None, classes: Sequence[str]) -> set[int]:
    if ignore is None:
        return set()
    if str(ignore) in classes:
        return {classes.index(str(ignore))}
    if str(ignore).isdecimal() and int(ignore) < 256:
        return {int(ignore)}
    raise BadData(f"ignore: expected a class of {', '.join(classes)}, or an id, got {ignore!r}")


def _listed_splits(root: Path, samples: Sequence[Sample[Ids]]) -> Mapping[str, str]:
    """train.txt, val.txt, test.txt with a stem or file name a line, if there are any."""
    if not (root / "train.txt").exists():
        return {}
    by_stem = {s.path.stem: s.name for s in samples}
    split_of: dict[str, str] = {}
    for split in SPLITS:
        path = root / f"{split}.txt"
        stems = [Path(line).stem for line in path.read_text().split()] if path.exists() else []
        if unknown := [stem for stem in stems if stem not in by_stem]:
            raise BadData(f"{path}: names without an image: {listed(unknown)}")
        if twice := [stem for stem in stems if by_stem[stem] in split_of]:
            raise BadData(f"{path}: names that are in another list too: {listed(twice)}")
        split_of |= {by_stem[stem]: split for stem in stems}
    return split_of


def _counts(truth: LabelMap, labels: Sequence[str]) -> Mapping[str, int]:
    try:
        present = np.unique(truth.read())
    except BadData:  # a finding of `examine`
        return {}
    return {labels[i]: 1 for i in present if i < len(labels)}


def _describe(truth: LabelMap, _: Sequence[str]) -> str:
    return truth.ids.describe()


READER = Reader(
    (Layout(ID_MAPS, read_id_maps), Layout(PAINTED, read_painted_objects, borrowed=True)),
    SegmentationRecipe,
    examine,
    _counts,
    _describe,
    "images with the class",
)
