"""Semantic data: images/ + masks/ (grey or palette PNG of class ids) + classes.txt; train/val/test.txt if there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadData, BadImage
from foveal.image import EXTENSIONS, read_header
from foveal.metrics.semantic import IGNORE
from foveal.models.data import SPLITS, DataSet, Sample, Splits, fingerprint, listed, make_splits

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MaskFile:
    """The truth of a picture: a PNG, and which of its ids is which label (IGNORE: none)."""

    path: Path
    label_of: tuple[int, ...]  # 256 entries: id in the PNG -> index into the labels, or IGNORE

    def read(self) -> UInt8Array:
        """(H, W) label indices, IGNORE where nothing counts."""
        return np.asarray(self.label_of, np.uint8)[read_ids(self.path)]


def load_class_maps(root: Path, recipe: Any) -> DataSet[MaskFile]:
    """Read the layout.

    The classes are the lines of classes.txt, id 0 first. `recipe.ignore` (a name or an id) and id 255 count nowhere.

    Raises:
        BadData: no such layout, or everything that `check_class_maps` finds, in one message.
    """
    classes, pictures = _layout(root)
    if found := check_class_maps(root):
        raise BadData(f"{root}: {len(found)} faults: " + "; ".join(found[:20]) + (" …" if len(found) > 20 else ""))
    ignored = _ignored(recipe.ignore, classes)
    labels = tuple(name for i, name in enumerate(classes) if i not in ignored)
    label_of = [IGNORE] * 256
    for i, name in enumerate(classes):
        if i not in ignored:
            label_of[i] = labels.index(name)
    samples = [
        Sample(p.relative_to(root).as_posix(), p, MaskFile(root / "masks" / f"{p.stem}.png", tuple(label_of)))
        for p in pictures
    ]
    splits = _listed_splits(root, samples) or make_splits(samples, recipe, lambda _: {"pictures": 1})
    used = [s for split in SPLITS for s in splits[split]]
    return DataSet(
        name=root.name,
        layout="images/ and masks/ of class ids",
        labels=labels,
        splits=splits,
        fingerprint=fingerprint(used, lambda truth: truth.path.read_bytes().hex()[-64:]),
        notes=_notes(samples, labels),
    )


def check_class_maps(root: Path) -> list[str]:
    """Everything that is wrong with the data set, a line each with the file's name; [] when it is clean."""
    classes, pictures = _layout(root)
    faults = []
    for path in pictures:
        mask = root / "masks" / f"{path.stem}.png"
        if not mask.exists():
            faults.append(f"{path.name}: expected masks/{mask.name}, got no such file")
            continue
        try:
            expected = read_header(path.read_bytes()).image_hw
            ids = read_ids(mask)
        except (BadData, BadImage) as error:
            faults.append(f"{path.name}: {error}")
            continue
        if ids.shape != expected:
            faults.append(f"masks/{mask.name}: expected {expected} (height, width) as the picture, got {ids.shape}")
        if outside := [int(i) for i in np.unique(ids) if i >= len(classes) and i != IGNORE]:
            faults.append(f"masks/{mask.name}: expected ids below {len(classes)} (or {IGNORE}), got {outside[:10]}")
    return faults


def read_ids(path: Path) -> UInt8Array:
    """(H, W) ids of a grey or palette PNG.

    Raises:
        BadData: no such PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as opened:
            ids = np.asarray(opened)
    except Exception as error:  # Pillow raises many types on damaged files
        raise BadData(f"{path.name}: expected a PNG of class ids: {error}") from None
    if ids.ndim != 2 or ids.dtype not in (np.uint8, np.bool_):
        raise BadData(f"{path.name}: expected one channel of 8-bit class ids, got shape {ids.shape} {ids.dtype}")
    return ids.astype(np.uint8)


def _layout(root: Path) -> tuple[list[str], list[Path]]:
    missing = [name for name in ("images", "masks", "classes.txt") if not (root / name).exists()]
    if missing:
        raise BadData(f"{root}: expected images/, masks/ and classes.txt, got no {', '.join(missing)}")
    classes = [line.strip() for line in (root / "classes.txt").read_text().splitlines() if line.strip()]
    pictures = sorted(p for p in (root / "images").iterdir() if p.suffix.lower() in EXTENSIONS)
    if len(set(classes)) != len(classes) or not classes:
        raise BadData(f"{root / 'classes.txt'}: expected different names, one a line, got {classes}")
    if not pictures:
        raise BadData(f"{root / 'images'}: expected pictures, got none")
    return classes, pictures


def _ignored(ignore: str | int | None, classes: list[str]) -> set[int]:
    if ignore is None:
        return set()
    if str(ignore) in classes:
        return {classes.index(str(ignore))}
    if str(ignore).isdecimal() and int(ignore) < 256:
        return {int(ignore)}
    raise BadData(f"ignore: expected a class of {', '.join(classes)}, or an id, got {ignore!r}")


def _listed_splits(root: Path, samples: list[Sample[MaskFile]]) -> Splits[MaskFile] | None:
    """train.txt, val.txt, test.txt with a stem or file name a line, if there are any."""
    if not (root / "train.txt").exists():
        return None
    by_stem: Mapping[str, Sample[MaskFile]] = {s.path.stem: s for s in samples}
    found: dict[str, tuple[Sample[MaskFile], ...]] = {}
    for split in SPLITS:
        path = root / f"{split}.txt"
        lines = path.read_text().split() if path.exists() else []
        stems = [Path(line).stem for line in lines]
        if unknown := [stem for stem in stems if stem not in by_stem]:
            raise BadData(f"{path}: names without a picture: {listed(unknown)}")
        found[split] = tuple(by_stem[stem] for stem in stems)
    if not found["val"]:
        raise BadData(f"{root / 'val.txt'}: expected pictures to choose the checkpoint by, got none")
    return Splits(**found)


def _notes(samples: list[Sample[MaskFile]], labels: tuple[str, ...]) -> tuple[str, ...]:
    counts = np.zeros(256, np.int64)
    for sample in samples:
        counts += np.bincount(sample.truth.read().ravel(), minlength=256)
    total = max(1, int(counts[: len(labels)].sum()))
    shares = ", ".join(f"{label} {counts[i] / total:.1%}" for i, label in enumerate(labels))
    ignored = f"; {counts[IGNORE] / counts.sum():.2%} of all pixels ignored" if counts[IGNORE] else ""
    return (f"class maps: {len(samples)} pictures; {shares}{ignored}",)
