"""Fixtures that more than one test module uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from packages import write_colours
from servers import Server


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
