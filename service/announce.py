"""What `foveal serve` tells its user once the models are checked (`announce`): the models and example requests."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from foveal.packages.package import ModelPackage
from foveal.tasks import TASKS

URL = "FOVEAL_ANNOUNCED_URL"  # set by the command for its workers


def announce(packages: Iterable[ModelPackage]) -> None:
    """Write to stderr, in the first of several workers only; in a process that no command started not at all."""
    url, packages = os.environ.get(URL), list(packages)
    if not url or not packages or not _first(Path(os.environ["BENTOML_HOME"])):
        return
    print("\n".join(_hints(packages, url)), file=sys.stderr, flush=True)


def _first(home: Path) -> bool:
    """Whether no other worker of this server was here."""
    try:
        (home / "announced").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _hints(packages: list[ModelPackage], url: str) -> list[str]:
    """Served models and, for each task, an example request with an existing image."""
    lines = [
        f"Foveal serves {', '.join(p.ref for p in packages)} on {url}; documentation: {url}/v1/docs. Example requests:"
    ]
    for name, task in TASKS.items():
        package = next((p for p in packages if p.manifest.task == name), None)
        if package is not None:
            query = f"?model={package.manifest.name}"
            lines.append(f"  curl --data-binary @{_image(package)} '{url}/v1/{task.endpoint}{query}'")
    return lines


def _image(package: ModelPackage) -> str:
    name = next(iter(package.manifest.examples), package.golden[0].name)
    chosen = package.path / "golden" / f"{name}.png"
    return min(os.path.relpath(chosen), str(chosen.absolute()), key=len)
