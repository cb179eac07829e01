"""Lists of splits beside images (`read_lists`): `train.txt` with a name a line, at the root or in ImageSets/."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from foveal.errors import BadData
from foveal.models.data.dataset import Sample, listed
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.split_names import TRAINVAL, split_of
from foveal.text_files import read_text

FOLDERS = ("", "splits", "lists", "ImageSets", "ImageSets/Segmentation")  # the last that has lists counts


def read_lists(folder: DataFolder, samples: Iterable[Sample[Any]]) -> Mapping[str, str]:
    """Sample name -> split, of every list that is named after one; empty: there are none.

    A line is an image's stem, its name or its path; a second word (its mask) may follow. What TRAINVAL lists is the
    pool of the others, so train and val win over it.

    Raises:
        BadData: a name without an image, or in two lists.
    """
    index: dict[str, list[str]] = {}
    for sample in samples:
        path = normalized(sample.path.relative_to(folder.base).as_posix())
        for key in {path, Path(path).name, Path(path).stem, str(Path(path).with_suffix(""))}:
            index.setdefault(key, []).append(sample.name)
    for place in reversed(FOLDERS):
        lists = [path for path in sorted((folder.base / place).glob("*.txt")) if split_of(path.stem)]
        if lists:
            return _merged(lists, index)
    return {}


def _merged(lists: Iterable[Path], index: Mapping[str, list[str]]) -> dict[str, str]:
    split_by_name: dict[str, str] = {}
    pool: list[str] = []
    for path in lists:
        split = split_of(path.stem)
        assert split is not None
        names = _names(path, index)
        if split == TRAINVAL:
            pool += names
            continue
        if twice := [name for name in names if split_by_name.get(name, split) != split]:
            raise BadData(f"{path}: names that are in another list too: {listed(twice)}")
        split_by_name |= dict.fromkeys(names, split)
    return dict.fromkeys(pool, TRAINVAL) | split_by_name


def _names(path: Path, index: Mapping[str, list[str]]) -> list[str]:
    found, unknown = [], []
    for line in read_text(path).splitlines():
        words = normalized(line.strip()).replace("\\", "/")
        if not words:
            continue
        fitting = next((index[key] for key in _readings(words) if key in index), [])
        if len(fitting) > 1:
            raise BadData(f"{path}: expected one image of the name {words!r}, got {listed(fitting)}")
        found += fitting
        unknown += [] if fitting else [words]
    if unknown:
        raise BadData(f"{path}: names without an image: {listed(unknown)}")
    return found


def _readings(words: str) -> Iterable[str]:
    """What a line may mean: all of it, its first word (a mask or a number follows), and their last parts."""
    for text in (words, words.split()[0]):
        parts = text.strip("/").split("/")
        for place in range(len(parts)):
            end = "/".join(parts[place:])
            yield end
            yield end.rpartition(".")[0] or end
