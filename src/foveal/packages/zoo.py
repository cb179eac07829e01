"""The zoo: a folder <name>/<version>/ of model packages. Versions are integers; the highest is the default."""

import os
from pathlib import Path

from foveal.errors import BadPackage, UnknownName
from foveal.packages.package import SUMS, ModelPackage


def zoo_folder(folder: Path | str | None = None) -> Path:
    """The given folder, else FOVEAL_ZOO, else ./zoo."""
    return Path(folder or os.environ.get("FOVEAL_ZOO") or "zoo")


def versions(folder: Path) -> dict[str, list[int]]:
    """name -> versions, ascending. Folders whose name is no whole number are not versions."""
    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.is_dir() and path.name.isdigit() and not path.parent.name.startswith("."):
            found.setdefault(path.parent.name, []).append(int(path.name))
    return {name: sorted(numbers) for name, numbers in found.items()}


def locate(model: str, folder: Path | str | None = None) -> Path:
    """`name`, `name@version` or a package folder -> the folder.

    Raises:
        UnknownName: no such model or version; the choices are listed. BadPackage: a folder that holds no package.
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
        return root / name / str(available[name][-1])
    if version not in map(str, available[name]):
        raise UnknownName.among("model", model, (f"{name}@{v}" for v in available[name]))
    return root / name / version


def open_all(folder: Path | str | None = None) -> list[ModelPackage]:
    """Open and verify every package of a zoo.

    Raises:
        BadPackage: the zoo is empty, or a package is not valid, or sits in a folder that is not <name>/<version>.
    """
    root = zoo_folder(folder)
    packages = [
        ModelPackage.open(root / name / str(version), hold_graph=False)
        for name, found in versions(root).items()
        for version in found
    ]
    if not packages:
        raise BadPackage(f"{root}: expected model packages as <name>/<version>/, got none; `foveal export` makes them")
    for package in packages:
        here = f"{package.path.parent.name}@{package.path.name}"
        if here != package.ref:
            raise BadPackage(f"{package.path}: expected the folder of {package.ref}")
    return packages
