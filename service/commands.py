"""Command `foveal serve`: every model of the zoo on one port."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.errors import FovealError

if TYPE_CHECKING:
    from foveal.packages.package import ModelPackage


class PortTaken(FovealError):
    """The address is in use or not one of this machine."""

    title = "Port not available"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
) -> None:
    """Serve every model of the zoo over HTTP. All other settings are FOVEAL_* variables (docs/HTTP.md)."""
    from foveal.packages import zoo as zoos
    from foveal.service.observability.tracing import Tracing
    from foveal.service.settings import from_environment

    folder = zoos.zoo_folder(zoo)
    os.environ["FOVEAL_ZOO"] = str(folder.absolute())  # for the worker processes
    Tracing(from_environment().otel_endpoint)  # reports a missing exporter here, not in a worker's log
    packages = _packages(folder)
    address = _resolve(host, port)
    for line in _hints(packages, f"http://{host}:{port}"):
        typer.echo(line, err=True)
    from foveal.service import bentoml_host  # reads the settings: only now are they complete

    bentoml_host.run(address, port)


def _packages(folder: Path) -> list[ModelPackage]:
    """Packages to serve. A broken one is reported here and by /readyz; without any valid one the start is refused."""
    from foveal.packages import zoo as zoos
    from foveal.packages.package import ModelPackage

    found = zoos.versions(folder)
    packages = []
    for name in found:
        try:
            packages.append(ModelPackage.open(folder / name / str(found[name][-1]), hold_graph=False))
        except FovealError as error:
            typer.echo(f"foveal: {name} will not be served: {error}", err=True)
    return packages or zoos.open_all(folder)  # raises, with the reason and the remedy


def _hints(packages: list[ModelPackage], url: str) -> list[str]:
    """Served models and, for each task, an example request with an existing image."""
    from foveal.tasks import TASKS

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


def _resolve(host: str, port: int) -> str:
    """The numeric address of a host, which BentoML requires.

    Raises:
        PortTaken: the address cannot be bound.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PortTaken(f"expected to listen on {host}:{port}: {error.strerror}; choose another with --port") from None
    return str(address[0])
