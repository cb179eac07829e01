"""Classification layouts: one folder a class, or train/ val/ test/ folders of those."""

from collections import Counter
from pathlib import Path

from foveal.errors import BadData
from foveal.imaging.decode import EXTENSIONS
from foveal.models.data.dataset import (
    DataSet,
    Sample,
    Splits,
    carve,
    fingerprint,
    imbalance_note,
    listed,
    make_splits,
    with_test,
)
from foveal.models.recipe import Recipe

VAL_NAMES = ("val", "valid", "validation")


def load_folders(root: Path, recipe: Recipe) -> DataSet[int]:
    """Read a classification data set; a sample's truth is its class id, the place of its folder among the sorted names.

    train/ with val/ and test/ are taken as they are; of train/ and val/ or train/ and test/ the missing split is made
    from train/. Folders of classes alone are split as the recipe says.

    Raises:
        BadData: no such layout, fewer than two classes, a class of a held-out split that train/ does not have.
    """
    folders = {path.name: path for path in _subfolders(root)}
    if "train" in folders:
        return _load_split_folders(root, folders, recipe)
    found = {name: _images(path) for name, path in folders.items()}
    labels = _labels(root, found)
    samples = [Sample(p.relative_to(root).as_posix(), p, i) for i, name in enumerate(labels) for p in found[name]]
    splits = make_splits(samples, recipe, lambda truth: {labels[truth]: 1})
    return _data_set(root, "one folder a class", labels, samples, splits)


def _load_split_folders(root: Path, folders: dict[str, Path], recipe: Recipe) -> DataSet[int]:
    val_name = next((name for name in VAL_NAMES if name in folders), None)
    given = {"train": folders["train"]}
    given |= {"val": folders[val_name]} if val_name else {}
    given |= {"test": folders["test"]} if "test" in folders else {}
    found = {split: {p.name: _images(p) for p in _subfolders(path)} for split, path in given.items()}
    labels = _labels(folders["train"], found["train"])
    for split, classes in found.items():
        if extra := sorted(name for name, images in classes.items() if images and name not in labels):
            raise BadData(f"{given[split]}: classes that {folders['train']} does not have: {listed(extra)}")
    read = {
        split: [Sample(p.relative_to(root).as_posix(), p, i) for i, n in enumerate(labels) for p in classes.get(n, [])]
        for split, classes in found.items()
    }
    layout = f"folders {', '.join(given)} with one folder a class"
    everything = [sample for samples in read.values() for sample in samples]
    return _data_set(root, layout, labels, everything, _complete(read, labels, recipe))


def _complete(read: dict[str, list[Sample[int]]], labels: tuple[str, ...], recipe: Recipe) -> Splits[int]:
    """The given splits; a missing one is made from train."""

    def strata(truth: int) -> dict[str, int]:
        return {labels[truth]: 1}

    if "val" in read:
        for split in ("val", "test"):
            if split in read and not read[split]:
                raise BadData(f"{split}/: expected images in its class folders, got none")
        return Splits(tuple(read["train"]), tuple(read["val"]), tuple(read.get("test", ())))
    if "test" in read:
        return with_test(carve(read["train"], recipe, strata), read["test"])
    return make_splits(read["train"], recipe, strata)


def _data_set(
    root: Path, layout: str, labels: tuple[str, ...], samples: list[Sample[int]], splits: Splits[int]
) -> DataSet[int]:
    counts = Counter(labels[sample.truth] for sample in samples)
    notes = [f"{root}: {layout}; {len(samples)} images, {len(labels)} classes; {imbalance_note(counts)}"]
    if left_out := len(samples) - sum(splits.counts().values()):
        notes.append(f"{left_out} images left out by group_guard or the split file")
    print_of = fingerprint(samples, lambda truth: labels[truth])
    return DataSet(root.resolve().name, layout, labels, splits, print_of, tuple(notes))


def _labels(folder: Path, found: dict[str, list[Path]]) -> tuple[str, ...]:
    labels = tuple(sorted(name for name, images in found.items() if images))
    if len(labels) < 2:
        raise BadData(
            f"{folder}: expected at least two folders of images, one a class, got {listed(labels) or 'none'} "
            f"(images end in {' '.join(EXTENSIONS)})"
        )
    return labels


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadData(f"{folder}: expected a folder")
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and not p.name.startswith("."))
