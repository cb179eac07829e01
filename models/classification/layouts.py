"""Classification layouts: one folder a class, or train/ val/ test/ folders of those."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import read_header
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import Sample, listed
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Layout, Reader, Reading
from foveal.models.reading.split_names import split_of


def read_folders(folder: DataFolder, _: ClassificationRecipe) -> Reading[int] | None:
    """Read a classification data set; a sample's truth is its class id, the place of its folder among the sorted names.

    Raises:
        BadData: fewer than two classes.
    """
    folders = _subfolders(folder.base)
    splits = {path: split for path in folders if (split := split_of(path.name)) is not None}
    parents = splits if splits and "train" in splits.values() else {folder.base: ""}
    found = [(split, c, folder.below(c)) for parent, split in parents.items() for c in _subfolders(parent)]
    if not any(images for _, _, images in found):
        return None
    labels = tuple(sorted({c.name for _, c, images in found if images}))
    if len(labels) < 2:
        raise BadData(f"{folder.root}: expected at least two folders of images, one a class, got {listed(labels)}")
    samples, split_names = [], {}
    for split, path, images in found:
        for image in images:
            samples.append(Sample(folder.name_of(image), image, labels.index(path.name)))
            if split:
                split_names[samples[-1].name] = split
    layout = "folders of splits with one folder a class" if split_names else "one folder a class"
    return Reading(layout, labels, tuple(sorted(samples, key=lambda s: s.name)), split_names)


def _examine(reading: Reading[int], _: ClassificationRecipe) -> Iterator[Finding]:
    for sample in reading.samples:
        try:
            read_header(sample.path.read_bytes())
        except BadImage as error:
            yield Finding("unreadable image", sample.name, str(error))


def _counts(truth: int, labels: Sequence[str]) -> Mapping[str, int]:
    return {labels[truth]: 1}


def _describe(truth: int, labels: Sequence[str]) -> str:
    return labels[truth]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


READER = Reader(
    (Layout("one folder a class", read_folders),), ClassificationRecipe, _examine, _counts, _describe, "images"
)
