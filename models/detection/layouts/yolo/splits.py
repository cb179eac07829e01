"""Splits of a YOLO data set (`stated_splits`): of its YAML file, of Darknet's lists of images, else of folders."""

from collections.abc import Iterator, Mapping
from os.path import isdir, isfile
from pathlib import Path, PurePosixPath
from typing import Any

from foveal.models.data.dataset import SPLITS
from foveal.models.detection.layouts.assembly import Assembly
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with
from foveal.models.reading.split_names import TRAINVAL, split_of
from foveal.text_files import read_text


def stated_splits(folder: DataFolder, described: Mapping[str, Any] | None, assembly: Assembly) -> dict[Path, str]:
    """Image -> split. Empty: only the names of folders tell.

    Paths in these files are often those of another machine, or relative to another folder: the longest end of a path
    that is there counts.
    """
    entries = [
        (split, str(path))
        for key, value in (described or {}).items()
        if isinstance(key, str) and (split := split_of(key))
        for path in (value if isinstance(value, list) else [value])
        if path
    ]
    if not entries:
        entries = [(split, path.relative_to(folder.base).as_posix()) for path, split in _lists(folder).items()]
    images: dict[str, list[Path]] = {}
    for split, stated in entries:
        images.setdefault(split, []).extend(_images(stated, folder, assembly))
    found: dict[Path, str] = {}
    for split in sorted(images, key=(*SPLITS, TRAINVAL).index):
        if split != "train" and set(images[split]) == set(images.get("train", ())):
            assembly.notes.append(f"{split} lists the images of train: it is made from train instead")
            continue
        for image in images[split]:
            if found.setdefault(image, split) != split:
                assembly.odd("in two splits", folder.name_of(image), f"{found[image]} and {split}")
    return found


def _lists(folder: DataFolder) -> dict[Path, str]:
    """Files named after a split with a path of an image a line: `train.txt`, `valid.txt`."""
    named = {path: split for path in files_with(folder, ".txt") if (split := split_of(path.stem))}
    return {path: split for path, split in named.items() if folder.beside(path) is None}


def _images(stated: str, folder: DataFolder, assembly: Assembly) -> Iterator[Path]:
    """The images below a folder, or those that a list of paths names."""
    parts = [part for part in PurePosixPath(stated.replace("\\", "/")).parts if part not in (".", "..", "/")]
    for start in range(len(parts)):
        place = folder.base.joinpath(*parts[start:])
        if isdir(place):  # false for a name that no file system has, where Path.is_dir raises
            yield from folder.below(place)
            return
        if isfile(place) and place.suffix.lower() == ".txt":
            where = folder.name_of(place)
            for number, line in enumerate(read_text(place).splitlines(), 1):
                if line.strip() and (image := assembly.image(line.strip(), f"{where}, line {number}")):
                    yield image
            return
