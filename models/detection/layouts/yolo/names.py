"""Names of YOLO's classes (`class_names`) and descriptions of the data set (`descriptions`)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foveal.errors import BadData
from foveal.models.detection.layouts.assembly import Assembly
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import files_with, read_yaml
from foveal.models.reading.fields import BadField, class_name, identity, shown
from foveal.text_files import read_text

LISTS = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")  # one name a line, most likely first


def descriptions(folder: DataFolder) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """YAML files with names of classes; the nearest to the base first."""
    for path in _nearest(files_with(folder, ".yaml", ".yml")):
        value = read_yaml(path)
        if isinstance(value, dict) and "names" in value:
            yield path, value


def lists(folder: DataFolder) -> list[Path]:
    """Files with one name a line, the most likely first."""
    found = _nearest(files_with(folder, ".txt", ".names", ".labels"))
    plain = [path for name in LISTS for path in found if path.name.lower() == name]
    return plain or [path for path in found if path.suffix.lower() == ".names"]


def class_names(described: tuple[Path, Mapping[str, Any]] | None, folder: DataFolder, assembly: Assembly) -> list[str]:
    """The names in the order of ids.

    Raises:
        BadData: none, or no list of names.
    """
    if described is None:
        plain = lists(folder)
        if not plain:
            raise BadData(f"{folder.root}: expected the names of the classes: data.yaml with names, or classes.txt")
        path, names = plain[0], [line.strip() for line in read_text(plain[0]).splitlines()]
        while names and not names[-1]:
            names.pop()
        stated = names
    else:
        path, value = described
        names = stated = _ordered(path, value["names"])
        if "nc" in value and value["nc"] != len(names):
            assembly.odd("unreadable annotation", folder.name_of(path), f"nc: {shown(value['nc'])}, {len(names)} names")
    try:
        named = [class_name(name, f"names[{i}]") for i, name in enumerate(stated)]
    except BadField as error:
        raise BadData(f"{path}: {error}") from None
    for name in dict.fromkeys(name for name in named if named.count(name) > 1):
        assembly.odd("label twice", folder.name_of(path), repr(name))
    return named


def _ordered(path: Path, names: Any) -> list[Any]:
    """A list, or a mapping from 0, whose keys may be text."""
    if isinstance(names, dict):
        try:
            by_id = {identity(key, "names"): name for key, name in names.items()}
        except BadField as error:
            raise BadData(f"{path}: {error}") from None
        if set(by_id) == set(range(len(by_id))):
            return [by_id[i] for i in range(len(by_id))]
        raise BadData(f"{path}: names: expected ids from 0 to {len(by_id) - 1}, got {shown(list(by_id))}")
    if isinstance(names, list):
        return names
    raise BadData(f"{path}: names: expected a list of names or a mapping from ids, got {shown(names)}")


def _nearest(paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (len(path.parts), path))
