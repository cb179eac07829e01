"""The zoo: a folder <name>/<version>/ of model packages. Versions are integers; the highest is the default."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from foveal.errors import BadPackage, UnknownName
from foveal.packages.package import SUMS, ModelPackage

VERSION = re.compile("[1-9][0-9]{0,8}")


def zoo_folder(folder: Path | str | None = None) -> Path:
    """The given folder, else FOVEAL_ZOO, else ./zoo."""
    return Path(folder or os.environ.get("FOVEAL_ZOO") or "zoo")


def versions(folder: Path) -> dict[str, list[int]]:
    """name -> versions, ascending. Folders whose name is no whole number are not versions."""
    found: dict[str, list[int]] = {}
    for name, version in _pairs(folder):
        if VERSION.fullmatch(version):
            found.setdefault(name, []).append(int(version))
    return {name: sorted(numbers) for name, numbers in found.items()}


def misnamed(folder: Path) -> dict[str, str]:
    """Folders that look like versions and are none (`01`, `²`) -> what was expected; nothing in them is served."""
    return {
        f"{name}@{version}": f"{name}/{version}: expected a version of ASCII digits without leading zeros"
        for name, version in _pairs(folder)
        if version.isdigit() and not VERSION.fullmatch(version)
    }


def locate(model: str, folder: Path | str | None = None) -> Path:
    """`name`, `name@version` or a package folder -> the folder.

    Raises:
        UnknownName: no such model or version; the choices are listed. BadPackage: a folder that holds no package, or a
            link in the zoo that leads out of it.
    """
    if os.path.isfile(Path(model) / SUMS):  # unlike Path.is_file it takes any text
        return Path(model)
    root = zoo_folder(folder)
    available = versions(root)
    name, _, version = model.partition("@")
    if name not in available and os.path.isdir(model):
        raise BadPackage(f"{model}: expected a package folder, with {SUMS} in it, usually <zoo>/<name>/<version>")
    if name not in available and not available:
        raise UnknownName(f"unknown model {name!r}; choices: none, for {root.absolute()} holds no models; name a zoo")
    if name not in available:
        raise UnknownName.among("model", name, available)
    if not version:
        return _inside(root, name, available[name][-1])
    if version not in map(str, available[name]):
        raise UnknownName.among("model", model, (f"{name}@{v}" for v in available[name]))
    return _inside(root, name, int(version))


def open_version(root: Path, name: str, version: int, *, hold_graph: bool = True) -> ModelPackage:
    """Open and verify one package of a zoo.

    Raises:
        BadPackage: it is not valid, sits in a folder that is not <name>/<version>, or is a link out of the zoo.
    """
    package = ModelPackage.open(_inside(root, name, version), hold_graph=hold_graph)
    if package.ref != f"{name}@{version}":
        raise BadPackage(f"{package.path}: expected the folder of {package.ref}")
    return package


def open_each(folder: Path | str | None = None) -> tuple[list[ModelPackage], dict[str, str]]:
    """Open and verify every package of a zoo: the valid ones, and name@version -> reason of the others.

    Raises:
        BadPackage: the zoo is empty.
    """
    root = zoo_folder(folder)
    packages, failed = [], misnamed(root)
    for name, found in versions(root).items():
        for version in found:
            try:
                packages.append(open_version(root, name, version, hold_graph=False))
            except Exception as error:  # whatever is wrong with one package, the others are opened
                failed[f"{name}@{version}"] = str(error) or type(error).__name__
    if not packages and not failed:
        raise BadPackage(f"{root}: expected model packages as <name>/<version>/, got none; `foveal export` makes them")
    return packages, failed


def open_all(folder: Path | str | None = None) -> list[ModelPackage]:
    """Open and verify every package of a zoo.

    Raises:
        BadPackage: the zoo is empty, or a package is not valid, or sits in a folder that is not <name>/<version>.
    """
    packages, failed = open_each(folder)
    if failed:
        raise BadPackage("; ".join(failed.values()))
    return packages


def _pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """The folders <name>/<version>, sorted; hidden names are none."""
    for name in _folders(folder):
        yield from ((name, version) for version in _folders(folder / name))


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                _text(entry.name) for entry in entries if not entry.name.startswith(".") and _is_folder(entry)
            )
    except OSError:  # not there, not a folder, or closed to this user
        return []


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _text(name: str) -> str:
    """A name that can be written; one whose bytes are no text is not found under it, which names the fault."""
    return os.fsencode(name).decode(errors="replace")


def _inside(root: Path, name: str, version: int) -> Path:
    path = root / name / str(version)
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        raise BadPackage(f"{path}: expected a folder, got links in a circle") from None
    if not real.is_relative_to(root.resolve()):
        raise BadPackage(f"{path}: expected a folder inside the zoo, got a link to {real}")
    return path
