"""Layouts of semantic segmentation data, recognised by what is in the folder.

images/ + masks/ (grey or palette PNG of class ids) + classes.txt, with train.txt, val.txt, test.txt if there are; and
COCO JSON, whose objects are painted into maps (layout_coco.py).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import EXTENSIONS, read_header
from foveal.metrics.semantic import IGNORE
from foveal.models.data.checks import DataCheck
from foveal.models.data.dataset import SPLITS, DataSet, Sample, Splits, fingerprint, listed, make_splits
from foveal.models.segmentation.layout_coco import read_painted
from foveal.models.segmentation.recipe import SegmentationRecipe

UInt8Array = npt.NDArray[np.uint8]
MAX_CLASSES = 255  # ids are bytes, and 255 is IGNORE
ID_MAPS = "images/ and masks/ of class ids"


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

    def read(self) -> UInt8Array:
        """(H, W) label indices, IGNORE where nothing counts."""
        return np.asarray(self.label_of, np.uint8)[self.ids.read()]


@dataclass(frozen=True)
class Layout:
    """A data set as it is written."""

    name: str
    classes: tuple[str, ...]  # id 0 first
    samples: tuple[Sample[Ids], ...]
    split_of: Mapping[str, str]  # sample name -> split; empty: the layout has none
    faults: tuple[str, ...] = ()  # found while reading


def load_class_maps(root: Path, recipe: SegmentationRecipe) -> DataSet[LabelMap]:
    """Read and split; the layout's own split is used where it has one.

    `recipe.ignore` (a name or an id) and id 255 count nowhere.

    Raises:
        BadData: no such layout, or everything that `check_class_maps` finds, in one message.
    """
    layout = read_layout(root)
    if found := _faults(layout):
        raise BadData(f"{root}: {len(found)} faults: " + "; ".join(found[:20]) + (" …" if len(found) > 20 else ""))
    ignored = _ignored(recipe.ignore, layout.classes)
    kept = [i for i in range(len(layout.classes)) if i not in ignored]
    labels = tuple(layout.classes[i] for i in kept)
    label_of = tuple(kept.index(i) if i in kept else IGNORE for i in range(256))
    samples = [Sample(s.name, s.path, LabelMap(s.truth, label_of)) for s in layout.samples]
    splits = _own_splits(samples, layout.split_of) or make_splits(samples, recipe, lambda _: {"images": 1})
    used = [s for split in SPLITS for s in splits[split]]
    return DataSet(
        name=root.resolve().name,
        layout=layout.name,
        labels=labels,
        splits=splits,
        fingerprint=fingerprint(used, lambda truth: truth.ids.describe()),
        notes=_notes(layout, samples, labels),
    )


def data_check(root: Path, _names: int) -> DataCheck | None:
    """Every fault, since each is one file's; None when the folder has no class maps."""
    if not is_class_maps(root):
        return None
    layout = read_layout(root)
    described = f"{layout.name}, {len(layout.samples)} images, classes {', '.join(layout.classes)}"
    return DataCheck(described, tuple(_faults(layout)))


def check_class_maps(root: Path) -> list[str]:
    """Everything that is wrong with the data set, a line each with the file's name; [] when it is clean."""
    return _faults(read_layout(root))


def is_class_maps(root: Path) -> bool:
    """Whether the folder is images/ and masks/ of class ids; without classes.txt it could be instance ids."""
    return (root / "masks").is_dir() and (root / "classes.txt").is_file()


def read_layout(root: Path) -> Layout:
    """The data set as it is written.

    Raises:
        BadData: no layout that is read here.
    """
    if not (root / "masks").exists() and (painted := read_painted(root)) is not None:
        objects: tuple[Sample[Ids], ...] = tuple(Sample(s.name, s.path, s.truth) for s in painted.samples)
        return Layout("COCO JSON, painted", painted.classes, objects, painted.split_of, painted.faults)
    missing = [name for name in ("images", "masks", "classes.txt") if not (root / name).exists()]
    if missing:
        raise BadData(f"{root}: expected images/, masks/ and classes.txt, got no {', '.join(missing)}; nor COCO JSON")
    classes = [line.strip() for line in (root / "classes.txt").read_text().splitlines() if line.strip()]
    images = sorted(p for p in (root / "images").iterdir() if p.suffix.lower() in EXTENSIONS)
    if len(set(classes)) != len(classes) or not 0 < len(classes) <= MAX_CLASSES:
        expected = f"expected 1..{MAX_CLASSES} different names, one a line"
        raise BadData(f"{root / 'classes.txt'}: {expected}, got {len(classes)}: {listed(classes)}")
    if not images:
        raise BadData(f"{root / 'images'}: expected images, got none")
    samples: list[Sample[Ids]] = [
        Sample(p.relative_to(root).as_posix(), p, MaskFile(root / "masks" / f"{p.stem}.png")) for p in images
    ]
    return Layout(ID_MAPS, tuple(classes), tuple(samples), _listed_splits(root, samples))


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


def _faults(layout: Layout) -> list[str]:
    faults = list(layout.faults)
    for sample in layout.samples:
        try:
            expected = read_header(sample.path.read_bytes()).image_hw
            ids = sample.truth.read()
        except (BadData, BadImage) as error:
            faults.append(f"{sample.name}: {error}")
            continue
        if ids.shape != expected:
            faults.append(f"{sample.name}: expected a map of {expected} (height, width), got {ids.shape}")
        classes = len(layout.classes)
        if outside := [int(i) for i in np.unique(ids) if i >= classes and i != IGNORE]:
            faults.append(f"{sample.name}: expected ids below {classes} (or {IGNORE}), got {outside[:10]}")
    return faults


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


def _own_splits(samples: Sequence[Sample[LabelMap]], split_of: Mapping[str, str]) -> Splits[LabelMap] | None:
    if not split_of:
        return None
    parts = {split: tuple(s for s in samples if split_of.get(s.name) == split) for split in SPLITS}
    if not parts["train"] or not parts["val"]:
        raise BadData("expected images to train by and to choose the checkpoint by, got no train or no val list")
    return Splits(**parts)


def _notes(layout: Layout, samples: Sequence[Sample[LabelMap]], labels: Sequence[str]) -> tuple[str, ...]:
    counts = np.zeros(256, np.int64)
    for sample in samples:
        counts += np.bincount(sample.truth.read().ravel(), minlength=256)
    total = max(1, int(counts[: len(labels)].sum()))
    shares = ", ".join(f"{label} {counts[i] / total:.1%}" for i, label in enumerate(labels))
    ignored = f"; {counts[IGNORE] / counts.sum():.2%} of all pixels ignored" if counts[IGNORE] else ""
    return (f"{layout.name}: {len(samples)} images; {shares}{ignored}",)
