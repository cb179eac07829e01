"""Command `foveal serve`: every model of the zoo on one port."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from foveal.errors import FovealError


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
    from foveal.service import announce
    from foveal.service.observability.tracing import Tracing
    from foveal.service.settings import from_environment

    folder = zoos.zoo_folder(zoo)
    os.environ["FOVEAL_ZOO"] = str(folder.absolute())  # for the worker processes
    Tracing(from_environment().otel_endpoint)  # reports a missing exporter here, not in a worker's log
    _expect_a_package(folder)
    address = _resolve(host, port)
    os.environ[announce.URL] = f"http://{host}:{port}"
    from foveal.service import bentoml_host  # reads the settings: only now are they complete

    bentoml_host.run(address, port)


def _expect_a_package(folder: Path) -> None:
    """Refuse to start without any valid package. What else is wrong, the workers report, who check everything.

    Raises:
        BadPackage: with the reasons and the remedy.
    """
    from foveal.packages import zoo as zoos

    for name, found in zoos.versions(folder).items():
        for version in found:
            with contextlib.suppress(Exception):
                zoos.open_version(folder, name, version, hold_graph=False)
                return
    zoos.open_all(folder)  # raises


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
