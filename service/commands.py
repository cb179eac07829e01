"""`foveal serve`: the whole zoo on one port."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.errors import FovealError

if TYPE_CHECKING:
    from foveal.packages.package import ModelPackage

EXAMPLES = Path("examples")  # examples/<model>* of the repository; elsewhere a golden image serves


class PortTaken(FovealError):
    """Somebody listens there already."""

    title = "Port not available"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: every one of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
) -> None:
    """Serve every model of the zoo over HTTP. All other settings are FOVEAL_* variables (docs/API.md)."""
    from foveal.packages import zoo as zoos
    from foveal.service.observability.tracing import Tracing
    from foveal.service.settings import from_environment

    folder = zoos.zoo_folder(zoo)
    os.environ["FOVEAL_ZOO"] = str(folder.absolute())  # the workers are processes of their own
    Tracing(from_environment().otel_endpoint)  # a bad setting is told here, not in a worker's log
    packages = _packages(folder)
    address = _resolve(host, port)
    for line in _hints(packages, f"http://{host}:{port}"):
        typer.echo(line, err=True)
    _run(address, port)


def _packages(folder: Path) -> list[ModelPackage]:
    """What will be served. A broken package is told here and again by /readyz; with none at all there is no start."""
    from foveal.packages import zoo as zoos
    from foveal.packages.package import ModelPackage

    found = zoos.versions(folder)
    packages = []
    for name in found:
        try:
            packages.append(ModelPackage.open(folder / name / str(found[name][-1]), hold_graph=False))
        except FovealError as error:
            typer.echo(f"foveal: {name} will not be served: {error}", err=True)
    return packages or zoos.open_all(folder)  # raises: it says what is wrong and what to do


def _hints(packages: list[ModelPackage], url: str) -> list[str]:
    """A line to paste for each task, with an image that is there."""
    from foveal.tasks import TASKS

    lines = [f"Foveal serves {', '.join(p.ref for p in packages)} on {url}; {url}/v1/docs tells the rest. Try next:"]
    for name, task in TASKS.items():
        package = next((p for p in packages if p.manifest.task == name), None)
        if package is not None:
            query = f"?model={package.manifest.name}"
            lines.append(f"  curl --data-binary @{_image(package)} '{url}/v1/{task.endpoint}{query}'")
    return lines


def _image(package: ModelPackage) -> str:
    from foveal.imaging.decode import EXTENSIONS

    examples = sorted(p for p in EXAMPLES.glob(f"{package.manifest.name}*") if p.suffix.lower() in EXTENSIONS)
    chosen = examples[0] if examples else package.path / "golden" / f"{package.golden[0].name}.png"
    return min(os.path.relpath(chosen), str(chosen.absolute()), key=len)


def _resolve(host: str, port: int) -> str:
    """The numeric address, which BentoML wants.

    Raises:
        PortTaken: it cannot be listened on.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PortTaken(f"expected to listen on {host}:{port}: {error.strerror}; choose another with --port") from None
    return str(address[0])


def _run(address: str, port: int) -> None:
    """Until Ctrl-C or SIGTERM; requests in flight are answered first."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    # BentoML keeps the metrics of all workers in a folder under its home, one for all servers of a user: give this
    # server its own home, or two of them would mix their figures.
    home = tempfile.mkdtemp(prefix="foveal-bentoml-")
    os.environ["BENTOML_HOME"] = home
    try:
        import bentoml

        from foveal.service import supervisor

        supervisor.adjust()
        bentoml.serve("foveal.service.bentoml_host", host=address, port=port, blocking=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
