"""Classification by folders (`read_folders`): one folder a class, or folders of splits that hold those."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveal.errors import BadData
from foveal.imaging.image_files import SYSTEM_FOLDERS
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import Sample, listed
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.findings import Finding
from foveal.models.reading.folder_words import folder_named
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_of, split_within

PLAIN, SPLIT = "one folder a class", "folders of splits with one folder a class"
WRAPPERS = ("images", "data", "dataset", "imgs")  # between a split and its classes


@dataclass
class _Found:
    """Images by class and split."""

    images: list[tuple[Path, str, str]] = field(default_factory=list)  # image, class, split or ""
    empty: list[str] = field(default_factory=list)  # classes without an image, with their folders
    left_out: list[tuple[Path, str]] = field(default_factory=list)  # image, why


def read_folders(folder: DataFolder, _: ClassificationRecipe) -> Reading[int] | None:
    """Read a classification data set; a sample's truth is its class id, the place of its name among the sorted ones.

    Folders named after splits are splits when they hold folders of images and either two of them do, or one is,
    and no folder of another name holds images; a single folder `train` beside `bus` and `car` is a class.

    Raises:
        BadData: folders named after splits that hold images, where folders of classes belong.
    """
    folders = [path for path in _subfolders(folder.base) if folder.below(path)]
    named = {path: split for path in folders if (split := split_of(path.name) or split_within(path.name))}
    splits = {path: split for path, split in named.items() if _classes_in(folder, path)}
    others = [path for path in folders if path not in named]
    if len(splits) > 1 or (splits and not others):
        found = _in_splits(folder, splits, [path for path in folders if path not in splits])
    elif len(named) > 1 or (named and not others):
        raise BadData(
            f"{folder.root}: {listed([path.name for path in named])} are named after splits: expected a folder for "
            f"each class in them, or a CSV file with the columns filename,label, got images"
        )
    else:
        found = _Found()
        _add_classes(folder, folder.base, "", found)
    return _reading(folder, found)


def _in_splits(folder: DataFolder, splits: dict[Path, str], others: Sequence[Path]) -> _Found:
    found = _Found()
    for path, split in splits.items():
        _add_classes(folder, _class_parent(folder, path), split, found)
    for path in others:
        found.left_out += [(image, "in no folder of a class") for image in folder.below(path)]
    found.left_out += [(image, "in no split") for image in folder.listing.images if image.parent == folder.base]
    return found


def _add_classes(folder: DataFolder, parent: Path, split: str, found: _Found) -> None:
    for path in _subfolders(parent):
        images = folder.below(path)
        found.images += [(image, normalized(path.name), split) for image in images]
        if not images:
            found.empty.append(normalized(path.name))
    why = "beside the folders of the classes"
    found.left_out += [(image, why) for image in folder.listing.images if image.parent == parent]


def _reading(folder: DataFolder, found: _Found) -> Reading[int] | None:
    labels = tuple(sorted({label for _, label, _ in found.images}))
    split = any(split for _, _, split in found.images)
    if len(labels) < 2 or all(folder_named(label).content for label in labels):  # `images` and `masks` are no classes
        return None
    samples = [Sample(folder.name_of(image), image, labels.index(label)) for image, label, _ in found.images]
    split_of_name = {folder.name_of(image): split for image, _, split in found.images if split}
    findings = [Finding("left out", folder.name_of(image), why) for image, why in found.left_out]
    findings += [Finding("empty label", "-", name) for name in sorted({*found.empty} - {*labels})]
    ordered = tuple(sorted(samples, key=lambda sample: sample.name))
    return Reading(SPLIT if split else PLAIN, labels, ordered, split_of_name, tuple(findings))


def _class_parent(folder: DataFolder, path: Path) -> Path:
    """Where a split's folders of classes are: below wrappers such as `seg_train/seg_train` or `train/images`."""
    inside = [one for one in _subfolders(path) if folder.below(one)]
    loose = any(image.parent == path for image in folder.listing.images)
    if len(inside) != 1 or loose or not _classes_in(folder, inside[0]):
        return path
    name = inside[0].name.lower()
    wraps = name in WRAPPERS or split_within(name) == split_within(path.name)
    return _class_parent(folder, inside[0]) if wraps else path


def _classes_in(folder: DataFolder, path: Path) -> bool:
    """Whether a folder holds folders with images."""
    return any(folder.below(one) for one in _subfolders(path))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name not in SYSTEM_FOLDERS
    )
