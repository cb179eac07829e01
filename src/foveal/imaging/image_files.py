"""Image files in folders (`list_images`): the one lister of batch prediction and of every reader of data sets."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".avif"),
    *(".heic", ".heif"),
)
# what file systems and archivers leave beside the images: thumbnails of Synology's NAS, resource forks of macOS
SYSTEM_FOLDERS = frozenset({"@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN"})


@dataclass(frozen=True)
class Listing:
    """The image files below a folder, and what else lies there."""

    images: tuple[Path, ...]  # regular files with a suffix of SUFFIXES, sorted
    passed_over: Mapping[str, int] = field(default_factory=dict)  # suffix in lower case -> files; "" has none
    dead_links: tuple[Path, ...] = ()  # links with an image's suffix to nothing

    def note(self, known: tuple[str, ...] = ()) -> str | None:
        """What a user should know, or None: "7 files passed over (.txt 5, .mov 2)".

        Args:
            known: suffixes that the caller reads itself, such as those of annotations.
        """
        others = {suffix or "no suffix": n for suffix, n in self.passed_over.items() if suffix not in known}
        parts = []
        if others:
            kinds = ", ".join(f"{suffix} {n}" for suffix, n in sorted(others.items(), key=lambda kv: (-kv[1], kv[0])))
            total = sum(others.values())
            parts.append(f"{total} file{'s' * (total > 1)} passed over ({kinds})")
        if self.dead_links:
            first = ", ".join(map(str, self.dead_links[:3]))
            more = f", … {len(self.dead_links) - 3} more" if len(self.dead_links) > 3 else ""
            parts.append(f"links to files that are not there: {first}{more}")
        return "; ".join(parts) or None


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: its suffix, in any case; no hidden file."""
    return name.lower().endswith(SUFFIXES) and not name.rpartition("/")[2].startswith(".")


def list_images(folder: Path) -> Listing:
    """All image files below a folder, at any depth, linked folders included (each once).

    Hidden files and folders (`.ipynb_checkpoints`, macOS's `._photo.jpg`) and SYSTEM_FOLDERS are no part of a data set
    and are not counted. Folders, devices and pipes with an image's suffix are no images. A folder without permission
    raises PermissionError.
    """
    images: list[Path] = []
    dead: list[Path] = []
    passed_over: Counter[str] = Counter()
    for path in visible_files(folder):
        if not is_image_name(path.name):
            passed_over[path.suffix.lower()] += 1
        elif path.is_file():
            images.append(path)
        elif path.is_symlink() and not path.exists():
            dead.append(path)
        else:
            passed_over[path.suffix.lower()] += 1
    return Listing(tuple(sorted(images)), dict(passed_over), tuple(sorted(dead)))


def visible_files(folder: Path) -> Iterator[Path]:
    """Files below a folder, sorted within each folder, without hidden ones and SYSTEM_FOLDERS."""
    seen = set()  # folders, by identity: links may form a circle

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        where = os.stat(parent)
        if (where.st_dev, where.st_ino) in seen:
            folders.clear()
            continue
        seen.add((where.st_dev, where.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SYSTEM_FOLDERS)
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))
