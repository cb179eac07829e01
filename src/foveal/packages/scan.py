"""State of a zoo's files (`scan`), by which a change is noticed without reading them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from foveal.packages.files import MAX_ENTRIES
from foveal.packages.zoo import misnamed, versions

Stamp = tuple[tuple[str, int, int], ...]  # of what lies in a package: path, mtime in ns, size


@dataclass(frozen=True)
class Scan:
    """What a zoo held at one moment."""

    stamps: Mapping[str, Stamp]  # by name@version; names and versions ascending
    misnamed: dict[str, str]  # folders that look like versions and are none -> what was expected


def scan(root: Path) -> Scan:
    """Look at every package of a zoo. Nothing in a package makes it fail: what cannot be looked at has no stamp."""
    found = versions(root)
    return Scan(
        {f"{n}@{v}": _stamp(root / n / str(v)) for n, numbers in found.items() for v in numbers}, misnamed(root)
    )


def _stamp(package: Path) -> Stamp:
    """Differs again while a package is still being copied."""
    return tuple(sorted(islice(_entries(package), MAX_ENTRIES)))


def _entries(package: Path) -> Iterator[tuple[str, int, int]]:
    for folder, _, names in os.walk(package):
        for name in names:
            path = os.path.join(folder, name)
            try:
                stat = os.lstat(path)
            except OSError:  # removed meanwhile
                continue
            yield path, stat.st_mtime_ns, stat.st_size
