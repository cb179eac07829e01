"""Fixtures that more than one test module uses."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.helpers.browser import Visitor, chromium, visit
from tests.helpers.packages import write_colours
from tests.helpers.playground_zoo import write_zoo
from tests.helpers.servers import Server


@pytest.fixture(scope="session")
def colour_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that tell red, green and blue apart, one of them in two versions."""
    zoo = tmp_path_factory.mktemp("zoo")
    write_colours(zoo, "colours", 1)
    write_colours(zoo, "colours", 2)
    write_colours(zoo, "tints", 1)
    return zoo


@pytest.fixture(scope="session")
def server(colour_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`foveal serve` with default settings."""
    with Server(colour_zoo, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of `server`."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")  # not longer: while it is open, asyncio.run refuses to work in this thread
def browser() -> Iterator[Browser]:
    """Chromium; the test skips where there is none."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`foveal serve` with a stub model for each task (playground_zoo.py)."""
    folder = tmp_path_factory.mktemp("playground")
    with Server(write_zoo(folder / "zoo"), folder / "log") as running:
        yield running


@pytest.fixture
def visitor(browser: Browser, playground: Server) -> Iterator[Visitor]:
    """A visitor of the playground, watched: any error on the console fails the test."""
    with visit(browser, playground.url, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        yield visitor
