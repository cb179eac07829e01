"""Ways to break a package (`BREAKS`), each by name: what `foveal serve` must refuse alone and name."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers.packages import endless_graph, hungry_graph, reseal


def _sealed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The change, with SHA256SUMS made to fit: only what the change did is wrong."""

    def apply(package: Path) -> None:
        change(package)
        reseal(package)

    return apply


def _manifest(**changes: Any) -> Callable[[Path], None]:
    def change(package: Path) -> None:
        path = package / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return _sealed(change)


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Another kind of thing in place of a file."""

    def change(package: Path) -> None:
        (package / name).unlink()
        make(package / name)

    return change


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"/proc/self/fd/{here}/{path.name}")  # a path of at most 107 bytes
    server.close()
    os.close(here)


def _link_to_a_copy(package: Path) -> None:
    """A link out of the package, to the very bytes that SHA256SUMS lists."""
    outside = package.parents[1] / f".{package.parent.name}-card"
    (package / "CARD.md").rename(outside)
    (package / "CARD.md").symlink_to(outside)


def _golden_folder_elsewhere(package: Path) -> None:
    elsewhere = package.parents[1] / f".{package.parent.name}-golden"
    (package / "golden").rename(elsewhere)
    (package / "golden").symlink_to(elsewhere)


def _deep(path: Path) -> None:
    path.write_bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


def _graph(graph: Callable[[tuple[int, int]], bytes]) -> Callable[[Path], None]:
    return _sealed(lambda package: _write(package / "model.onnx", graph((8, 8))))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


ENDLESS = _graph(endless_graph)
BREAKS: dict[str, tuple[Callable[[Path], None], str]] = {  # name -> how, and words of the reason
    "card-not-utf8": (_sealed(lambda p: _write(p / "CARD.md", b"\xff\xfe")), "CARD.md: expected UTF-8"),
    "no-default-tolerance": (_manifest(golden={"cuda": {}}), "golden"),
    "wide-tolerance": (_manifest(golden={"default": {"score": 1e9}}), "golden.default.score"),
    "nan-tolerance": (_manifest(golden={"default": {"score": "nan"}}), "golden.default.score"),
    "list-as-manifest": (_sealed(lambda p: _write(p / "manifest.json", b"[]")), "manifest.json"),
    "deep-manifest": (_sealed(lambda p: _deep(p / "manifest.json")), "manifest.json"),
    "deep-golden": (_sealed(lambda p: _deep(p / "golden" / "warm.json")), "golden/warm.png"),
    "number-as-golden": (_sealed(lambda p: _write(p / "golden" / "warm.json", b"7")), "golden/warm.png"),
    "huge-input": (_manifest(pipeline={"task": "classification"}), "pipeline"),
    "fifo": (_instead("CARD.md", os.mkfifo), "CARD.md: expected a regular file, got a FIFO"),
    "folder-as-file": (_instead("CARD.md", Path.mkdir), "CARD.md: expected a regular file, got a folder"),
    "socket": (_instead("CARD.md", _socket), "CARD.md: expected a regular file, got a socket"),
    "link": (_link_to_a_copy, "CARD.md: expected a regular file, got a link"),
    "link-to-itself": (_instead("CARD.md", lambda p: p.symlink_to(p)), "CARD.md: expected a regular file, got a link"),
    "device-by-link": (_instead("CARD.md", lambda p: p.symlink_to("/dev/zero")), "got a link"),
    "golden-by-link": (_golden_folder_elsewhere, "golden: expected a regular file, got a link"),
    "sparse-sums": (_instead("SHA256SUMS", _sparse), "SHA256SUMS: expected at most"),
    "sparse-graph": (_instead("model.onnx", _sparse), "model.onnx: expected at most"),
    "no-graph": (_sealed(lambda p: _write(p / "model.onnx", b"no graph")), "cannot load the graph"),
    "hungry-graph": (_graph(hungry_graph), "OutOfMemory"),
}
