"""Names of the files of a converted data set: safe on every system, unique without their suffix."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from foveal.models.reading.data_folder import normalized

_UNSAFE = re.compile(r'[\x00-\x1f\x7f\s"*:<>?|\\/]+')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)$")  # Windows opens no files of these names


def safe(text: str) -> str:
    """A name without slashes, spaces and what file systems refuse; letters of all scripts stay."""
    plain = _UNSAFE.sub("_", normalized(text)).strip("._-") or "_"
    return f"{plain}_" if _DEVICES.match(plain) else plain


def stems_of(names: Iterable[str]) -> Mapping[str, str]:
    """Sample name -> stem: the file's own where it is the only one of that name, else with its folders.

    Stems differ in more than case, since some file systems do not tell cases apart.
    """
    ordered = sorted(names)
    own = {name: safe(PurePosixPath(name).stem) for name in ordered}
    counts: dict[str, int] = {}
    for stem in own.values():
        counts[stem.lower()] = counts.get(stem.lower(), 0) + 1
    taken: set[str] = set()
    result = {}
    for name in sorted(ordered, key=lambda n: (counts[own[n].lower()] > 1, n)):
        stem = own[name] if counts[own[name].lower()] == 1 else safe(str(PurePosixPath(name).with_suffix("")))
        free, number = stem, 2
        while free.lower() in taken:
            free, number = f"{stem}_{number}", number + 1
        taken.add(free.lower())
        result[name] = free
    return result
