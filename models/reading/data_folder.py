"""The folder of a data set as every reader sees it (`DataFolder`): its images, found by whatever name a tool wrote."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from foveal.errors import BadData
from foveal.imaging.image_files import SYSTEM_FOLDERS, Listing, list_images
from foveal.models.reading.split_names import TRAINVAL, split_of, split_within


class DataFolder:
    """A data set's folder.

    Attributes:
        root: as the user gave it; names of samples are relative to it.
        base: where the data set begins: below folders that hold nothing but one folder, as unpacked archives have them.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise BadData(f"{root}: expected a folder{'' if root.exists() else ', got none of that name'}")
        self.root = root
        self.base = unwrapped(root)

    @cached_property
    def listing(self) -> Listing:
        """Every image file below the base."""
        try:
            return list_images(self.base)
        except OSError as error:
            raise BadData(f"{error.filename}: expected a readable folder: {error.strerror}") from None

    def below(self, folder: Path) -> list[Path]:
        """The image files below a folder of this data set, at any depth, sorted."""
        return [path for path in self.listing.images if path.is_relative_to(folder)]

    def name_of(self, path: Path) -> str:
        """A file's name in the data set: relative to the root, forward slashes, composed characters (NFC)."""
        return normalized(path.relative_to(self.root).as_posix())

    def find(self, stated: str, folders: Sequence[Path] = (), split: str | None = None) -> Path | None:
        """The image that an annotation means by a file name.

        Tools write paths of their own machine, backslashes, URLs, decomposed characters, another case. Tried in turn:
        the path below each of `folders`, then the longest end of the path that only one image has, or only one of the
        split's folders.

        Args:
            stated: the name as written.
            folders: where the tool's convention looks, most likely first.
            split: of the annotation, where it is known.

        Raises:
            BadData: several images fit equally well.
        """
        parts = _parts(stated)
        for folder in folders:
            if (found := self._by_path.get("/".join((normalized(str(folder)), *parts)))) is not None:
                return found
        candidates = self._by_last.get(parts[-1].lower(), []) if parts else []
        for length in range(len(parts), 0, -1):
            for same in (str, str.lower):  # as written, else in any case
                end = [same(part) for part in parts[-length:]]
                fitting = [path for ends, path in candidates if [same(part) for part in ends[-length:]] == end]
                if len(fitting) > 1 and split is not None:
                    fitting = [path for path in fitting if self.split_of(path) == split] or fitting
                if len(fitting) == 1:
                    return fitting[0]
                if fitting:
                    some = ", ".join(self.name_of(p) for p in fitting[:3])
                    raise BadData(f"{stated!r}: expected one image of that name, got {len(fitting)}: {some}")
        return None

    def beside(self, file: Path, folders: Sequence[str] = (), split: str | None = None) -> Path | None:
        """The image that a file of annotations belongs to by its stem: beside it, in one of `folders`, or anywhere.

        Args:
            file: `0001.txt`, or `0001.jpg.json`.
            folders: names of folders of images beside the file's folder or above it, in lower case.
            split: of the file, where it is known.

        Raises:
            BadData: several images fit equally well.
        """
        stem = normalized(file.stem)
        fitting = self._by_stem.get(stem, []) or [path for _, path in self._by_last.get(stem.lower(), [])]
        nearest = file.parent, *file.parents
        for nearer in (
            [path for path in fitting if path.parent == file.parent],
            [path for path in fitting if path.parent.name.lower() in folders and path.parent.parent in nearest],
            [path for path in fitting if split is not None and self.split_of(path) == split],
            fitting,
        ):
            if len(nearer) == 1:
                return nearer[0]
        if fitting:
            some = ", ".join(self.name_of(p) for p in fitting[:3])
            raise BadData(f"{self.name_of(file)}: expected one image of that name, got {len(fitting)}: {some}")
        return None

    def split_of(self, path: Path) -> str | None:
        """The split that a folder above the image is named after: `images/val2017`, `valid/images`."""
        return self._splits.get(path.parent)

    @cached_property
    def _splits(self) -> dict[Path, str]:
        """Folder of images -> split. Names that hold more than the split count only where one of them is train."""
        parents = {path.parent: path.parent.relative_to(self.base).parts for path in self.listing.images}
        found: dict[Path, str] = {}
        for meaning in (split_of, split_within):
            stated = {parent: [s for part in parts if (s := meaning(part))] for parent, parts in parents.items()}
            named = {parent: splits[0] for parent, splits in stated.items() if splits}
            if "train" in named.values() or TRAINVAL in named.values():
                return named
            found = found or (named if meaning is split_of else {})
        # only held-out images are named: the others are what is left to learn from
        return {parent: found.get(parent, TRAINVAL) for parent in parents} if found else {}

    @cached_property
    def _by_path(self) -> dict[str, Path]:
        return {normalized(str(path)): path for path in self.listing.images}

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        index: dict[str, list[Path]] = defaultdict(list)
        for path in self.listing.images:
            index[normalized(path.stem)].append(path)
        return index

    @cached_property
    def _by_last(self) -> dict[str, list[tuple[list[str], Path]]]:
        index: dict[str, list[tuple[list[str], Path]]] = defaultdict(list)
        for path in self.listing.images:
            parts = _parts(path.relative_to(self.root).as_posix())
            index[parts[-1].lower()].append((parts, path))
        return index


def normalized(name: str) -> str:
    """A name with composed characters (NFC): macOS writes `ä` as two."""
    return unicodedata.normalize("NFC", name)


def _parts(stated: str) -> list[str]:
    """A stated path in its parts: of a POSIX or Windows path, a URL, or Label Studio's `/data/local-files/?d=path`."""
    text = normalized(stated.strip()).replace("\\", "/")
    if "://" in text or text.startswith("/data/"):
        url = urlsplit(text)
        text = next(iter(parse_qs(url.query).get("d", ())), "") or unquote(url.path)
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def unwrapped(folder: Path) -> Path:
    """The first folder downwards that holds more than one visible folder, or one that a split is named after."""
    try:
        visible = [p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in SYSTEM_FOLDERS]
    except OSError as error:
        raise BadData(f"{folder}: expected a readable folder: {error.strerror}") from None
    alone = len(visible) == 1 and visible[0].is_dir() and split_within(visible[0].name) is None
    return unwrapped(visible[0]) if alone else folder
