"""Model packages (`ModelPackage`): folders of a proved model, the only thing handed from stage to stage.

A package is a folder `model.onnx manifest.json CARD.md golden/ SHA256SUMS`. A graph whose weights do not fit into one
protobuf message has them in `model.onnx.data` (ONNX external data). SHA256SUMS lists every other file and is written
last; its own sha256 is the package's digest. Opening checks every byte, and refuses files that are not listed.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from foveal.errors import BadOutput, BadPackage
from foveal.imaging.decode import MAX_BYTES
from foveal.memory import memory_limit
from foveal.packages.files import digest, names, read
from foveal.packages.manifest import Manifest

SUMS = "SHA256SUMS"
MODEL = "model.onnx"
WEIGHTS = "model.onnx.data"  # only beside a model.onnx that refers to it
MANIFEST = "manifest.json"
CARD = "CARD.md"
_REQUIRED = (MODEL, MANIFEST, CARD)
_GOLDEN = "golden/"
_SMALL = 4_000_000  # bytes of a text file of a package, at most


@dataclass(frozen=True)
class Golden:
    """One golden example: a small image and the entry that the package must give for it."""

    name: str
    image: bytes
    expected: bytes  # one JSON entry, as formats.entry writes it


@dataclass(frozen=True)
class Graph:
    """The bytes of an ONNX graph."""

    model: bytes = field(repr=False)  # model.onnx
    weights: bytes = field(default=b"", repr=False)  # model.onnx.data; empty: all weights are in model.onnx

    @property
    def files(self) -> dict[str, bytes]:
        """File name inside a package -> bytes."""
        return {MODEL: self.model} | ({WEIGHTS: self.weights} if self.weights else {})

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return len(self.model) + len(self.weights)


@dataclass(frozen=True)
class ModelPackage:
    """An opened, verified package. A session runs the very bytes that were hashed (`take_graph`)."""

    path: Path
    manifest: Manifest
    digest: str  # "sha256:<hex>" of SHA256SUMS
    card: str
    golden: tuple[Golden, ...]
    _listed: Mapping[str, str] = field(repr=False)  # SHA256SUMS: file -> hex digest
    _held: list[Graph] = field(repr=False, compare=False)  # the graph, until a session takes it

    @property
    def ref(self) -> str:
        """name@version."""
        return self.manifest.ref

    @property
    def proofs(self) -> tuple[Golden, ...]:
        """The golden images that a machine must reproduce: all but the examples, as long as there are others.

        An example is a photo that may have objects just at the threshold, where machines may differ.
        """
        return tuple(one for one in self.golden if one.name not in self.manifest.examples) or self.golden

    @classmethod
    def open(cls, path: Path | str, *, hold_graph: bool = True) -> "ModelPackage":
        """Read and verify a package folder.

        Args:
            path: the folder.
            hold_graph: keep the graph's bytes for the session that will be opened. False, where none will be: the
                graph's files are hashed in a stream and cost no memory.

        Raises:
            BadPackage: missing, unlisted or altered files, or a manifest that does not fit; the file is named.
        """
        path = Path(path)
        sums = read(path / SUMS, _SMALL)
        listed = _parse_sums(path, sums)
        _expect_listed(path, listed)
        files = _read_listed(path, listed, hold_graph=hold_graph)
        manifest, golden = _parse_manifest(path / MANIFEST, files[MANIFEST]), _golden(path, files)
        if missing := set(manifest.examples) - {one.name for one in golden}:
            raise BadPackage(f"{path / MANIFEST}: examples: expected golden images, got {', '.join(sorted(missing))}")
        return cls(
            path=path,
            manifest=manifest,
            digest="sha256:" + hashlib.sha256(sums).hexdigest(),
            card=_text(path / CARD, files[CARD]),
            golden=golden,
            _listed=listed,
            _held=[Graph(files[MODEL], files.get(WEIGHTS, b""))] if hold_graph else [],
        )

    def take_graph(self) -> Graph:
        """The graph, for a session that will copy it: the package keeps it no longer.

        Who comes first gets the bytes that were hashed when the package was opened; every later call reads the files
        again and verifies what it read.

        Raises:
            BadPackage: the files are not those of the package any more.
        """
        with contextlib.suppress(IndexError):
            return self._held.pop()
        return self._read_graph()

    def _read_graph(self) -> Graph:
        model = _read_verified(self.path, MODEL, self._listed)
        return Graph(model, _read_verified(self.path, WEIGHTS, self._listed) if WEIGHTS in self._listed else b"")

    def __getstate__(self) -> dict[str, Any]:
        """With the graph: a pickled batch job travels to machines that do not have the folder."""
        return vars(self) | {"_held": self._held[:] or [self._read_graph()]}

    @classmethod
    def unsaved(
        cls, manifest: Manifest, model: bytes, golden: Mapping[str, bytes] | None = None, *, weights: bytes = b""
    ) -> "ModelPackage":
        """A package that is only in memory, to be tried before it is written; its digest is empty.

        Args:
            manifest: the whole manifest.
            model: the ONNX file.
            golden: as for `write`; None: there is none yet.
            weights: as for `write`.
        """
        path = Path(f"{manifest.ref} (not written)")
        found = () if golden is None else _golden(path, {f"golden/{name}": data for name, data in golden.items()})
        listed = dict.fromkeys(Graph(model, weights).files, "")
        return cls(path, manifest, "", "", found, listed, [Graph(model, weights)])

    @staticmethod
    def write(
        path: Path | str,
        *,
        manifest: Manifest,
        model: bytes,
        card: str,
        golden: Mapping[str, bytes],
        weights: bytes = b"",
    ) -> str:
        """Write a package folder: everything into a temporary folder beside it, SUMS last, then renamed into place.

        Args:
            path: the folder to create, usually zoo/<name>/<version>; must not exist.
            manifest: the whole manifest.
            model: the ONNX file.
            card: CARD.md.
            golden: file name inside golden/ -> bytes, `x.png` beside `x.json`.
            weights: the ONNX file's external data, if it has any.

        Returns:
            The package's digest.

        Raises:
            BadOutput: the folder exists.
        """
        files = Graph(model, weights).files | {MANIFEST: manifest_bytes(manifest), CARD: card.encode()}
        files |= {f"golden/{name}": content for name, content in golden.items()}
        with staged_folder(path) as staged:
            for name, content in files.items():
                (staged / name).parent.mkdir(exist_ok=True)
                (staged / name).write_bytes(content)
            sums = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files)).encode()
            (staged / SUMS).write_bytes(sums)
        return "sha256:" + hashlib.sha256(sums).hexdigest()


@contextmanager
def staged_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well, and vanishes when it does not."""
    path = Path(path)
    if path.exists():
        raise BadOutput(f"{path}: expected a folder that does not exist yet")
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield staged
        staged.chmod(0o755)
        os.rename(staged, path)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it is written: indented, so that a person can read and diff it."""
    return manifest.model_dump_json(indent=2).encode() + b"\n"


def _read_listed(path: Path, listed: Mapping[str, str], *, hold_graph: bool) -> dict[str, bytes]:
    """Verify every listed file; the bytes of those that a package keeps."""
    files: dict[str, bytes] = {}
    golden_bytes = 0
    for name in listed:
        if not _is_held(name, hold_graph=hold_graph):
            _expect_digest(path / name, listed[name], digest(path / name, _most_bytes(name)))
            continue
        files[name] = _read_verified(path, name, listed)
        golden_bytes += len(files[name]) if name.startswith(_GOLDEN) else 0
        if golden_bytes > MAX_BYTES:
            raise BadPackage(f"{path}/golden: expected at most {MAX_BYTES} bytes in all, got more")
    return files


def _is_held(name: str, *, hold_graph: bool) -> bool:
    """Whether an opened package keeps a file's bytes; of any other, which is only hashed, it needs none."""
    return name in (MANIFEST, CARD) or name.startswith(_GOLDEN) or (hold_graph and name in (MODEL, WEIGHTS))


def _most_bytes(name: str) -> int:
    """Size that a file may have: a package is refused before a file of it fills the memory."""
    if name == MODEL:
        return 2**31 - 1  # of a protobuf message
    if name == WEIGHTS:
        return memory_limit() // 2  # the session copies them
    return _SMALL if name in (MANIFEST, CARD) else MAX_BYTES


def _read_verified(path: Path, name: str, listed: Mapping[str, str]) -> bytes:
    """A file's bytes, once they are known to be the listed ones."""
    content = read(path / name, _most_bytes(name))
    _expect_digest(path / name, listed[name], hashlib.sha256(content).hexdigest())
    return content


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadPackage(f"{path}: expected UTF-8, got byte {content[error.start]:#04x} at {error.start}") from None


def _expect_digest(path: Path, expected: str, got: str) -> None:
    if got != expected:
        raise BadPackage(f"{path}: expected sha256 {expected}, got {got}")


def _expect_listed(path: Path, listed: Mapping[str, str]) -> None:
    """Nothing lies there that is not listed, and everything that a package needs is listed."""
    unlisted = sorted(names(path) - listed.keys() - {SUMS})
    if unlisted:
        raise BadPackage(f"{path}: files not listed in {SUMS}: {', '.join(unlisted[:5])}")
    for name in _REQUIRED:
        if name not in listed:
            raise BadPackage(f"{path / name}: expected this file in {SUMS}, got {', '.join(sorted(listed)[:20])}")


def _parse_sums(path: Path, sums: bytes) -> dict[str, str]:
    listed = {}
    for number, line in enumerate(sums.decode(errors="replace").splitlines(), 1):
        hexadecimal, _, name = line.partition("  ")
        pure = PurePosixPath(name)
        if len(hexadecimal) != 64 or not name or pure.is_absolute() or ".." in pure.parts:
            raise BadPackage(f"{path / SUMS}, line {number}: expected '<sha256>  <file>', got {line[:100]!r}")
        listed[name] = hexadecimal
    return listed


def _parse_manifest(path: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadPackage(f"{path}: {where}: {first['msg']}, got {str(first['input'])[:80]!r}") from None


def _golden(path: Path, files: Mapping[str, bytes]) -> tuple[Golden, ...]:
    stems = sorted(PurePosixPath(n).stem for n in files if n.startswith(_GOLDEN) and n.endswith(".png"))
    for name in stems:
        if f"golden/{name}.json" not in files:
            raise BadPackage(f"{path}/golden/{name}.json: expected the golden result of {name}.png, got no such file")
    if not stems:
        raise BadPackage(f"{path}/golden: expected at least one golden image, got none")
    return tuple(Golden(n, files[f"golden/{n}.png"], files[f"golden/{n}.json"]) for n in stems)
