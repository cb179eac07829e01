"""The folder of a data set as every reader sees it (`DataFolder`): its images, found by whatever name a tool wrote."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from foveal.errors import BadData
from foveal.imaging.image_files import SYSTEM_FOLDERS, Listing, list_images
from foveal.models.reading.split_names import split_within


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

    def find(self, stated: str, folders: Sequence[Path] = ()) -> Path | None:
        """The image that an annotation means by a file name.

        Tools write paths of their own machine, backslashes, URLs, decomposed characters, another case. Tried in turn:
        the path below each of `folders`, then the longest end of the path that only one image has.

        Args:
            stated: the name as written.
            folders: where the tool's convention looks, most likely first.

        Raises:
            BadData: several images fit equally well.
        """
        parts = _parts(stated)
        for folder in folders:
            if (found := self._by_path.get(normalized(str(folder / PurePosixPath(*parts))))) is not None:
                return found
        candidates = self._by_last.get(parts[-1].lower(), []) if parts else []
        for length in range(len(parts), 0, -1):
            for same in (str, str.lower):  # as written, else in any case
                end = [same(part) for part in parts[-length:]]
                fitting = [path for ends, path in candidates if [same(part) for part in ends[-length:]] == end]
                if len(fitting) == 1:
                    return fitting[0]
                if fitting:
                    some = ", ".join(self.name_of(p) for p in fitting[:3])
                    raise BadData(f"{stated!r}: expected one image of that name, got {len(fitting)}: {some}")
        return None

    @cached_property
    def _by_path(self) -> dict[str, Path]:
        return {normalized(str(path)): path for path in self.listing.images}

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
