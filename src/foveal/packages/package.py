"""Model packages (`ModelPackage`): folders of a proved model, the only thing handed from stage to stage.

A package is a folder `model.onnx manifest.json CARD.md golden/ SHA256SUMS`. SHA256SUMS lists every other file and is
written last; its own sha256 is the package's digest. Opening checks every byte, and refuses files that are not listed.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from foveal.errors import BadOutput, BadPackage
from foveal.packages.manifest import Manifest

SUMS = "SHA256SUMS"
MODEL = "model.onnx"
MANIFEST = "manifest.json"
CARD = "CARD.md"
_REQUIRED = (MODEL, MANIFEST, CARD)


@dataclass(frozen=True)
class Golden:
    """One golden example: a small image and the entry that the package must give for it."""

    name: str
    image: bytes
    expected: bytes  # one JSON entry, as formats.entry writes it


@dataclass(frozen=True)
class ModelPackage:
    """An opened, verified package. The graph's bytes are those that were hashed, not read a second time."""

    path: Path
    manifest: Manifest
    digest: str  # "sha256:<hex>" of SHA256SUMS
    model: bytes
    card: str
    golden: tuple[Golden, ...]

    @property
    def ref(self) -> str:
        """name@version."""
        return self.manifest.ref

    @classmethod
    def open(cls, path: Path | str) -> "ModelPackage":
        """Read and verify a package folder.

        Raises:
            BadPackage: missing, unlisted or altered files, or a manifest that does not fit; the file is named.
        """
        path = Path(path)
        sums = _read(path / SUMS)
        listed = _parse_sums(path, sums)
        files = {name: _read(path / name) for name in listed}
        for name, content in files.items():
            got = hashlib.sha256(content).hexdigest()
            if got != listed[name]:
                raise BadPackage(f"{path / name}: expected sha256 {listed[name]}, got {got}")
        unlisted = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} - listed.keys() - {SUMS}
        if unlisted:
            raise BadPackage(f"{path}: files not listed in {SUMS}: {', '.join(sorted(unlisted))}")
        for name in _REQUIRED:
            if name not in files:
                raise BadPackage(f"{path / name}: expected this file in {SUMS}, got {', '.join(sorted(listed))}")
        return cls(
            path=path,
            manifest=_parse_manifest(path / MANIFEST, files[MANIFEST]),
            digest="sha256:" + hashlib.sha256(sums).hexdigest(),
            model=files[MODEL],
            card=files[CARD].decode(),
            golden=_golden(path, files),
        )

    @classmethod
    def unsaved(cls, manifest: Manifest, model: bytes, golden: Mapping[str, bytes]) -> "ModelPackage":
        """A package that is only in memory, to be tried before it is written; its digest is empty.

        Args:
            manifest: the whole manifest.
            model: the ONNX file.
            golden: as for `write`.
        """
        path = Path(f"{manifest.ref} (not written)")
        files = {f"golden/{name}": content for name, content in golden.items()}
        return cls(path, manifest, "", model, "", _golden(path, files))

    @staticmethod
    def write(path: Path | str, *, manifest: Manifest, model: bytes, card: str, golden: Mapping[str, bytes]) -> str:
        """Write a package folder: everything into a temporary folder beside it, SUMS last, then renamed into place.

        Args:
            path: the folder to create, usually zoo/<name>/<version>; must not exist.
            manifest: the whole manifest.
            model: the ONNX file.
            card: CARD.md.
            golden: file name inside golden/ -> bytes, `x.png` beside `x.json`.

        Returns:
            The package's digest.

        Raises:
            BadOutput: the folder exists.
        """
        files = {MODEL: model, MANIFEST: manifest_bytes(manifest), CARD: card.encode()}
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadPackage(f"{path}: expected a readable file: {error.strerror}") from None


def _parse_sums(path: Path, sums: bytes) -> dict[str, str]:
    listed = {}
    for number, line in enumerate(sums.decode(errors="replace").splitlines(), 1):
        digest, _, name = line.partition("  ")
        pure = PurePosixPath(name)
        if len(digest) != 64 or not name or pure.is_absolute() or ".." in pure.parts:
            raise BadPackage(f"{path / SUMS}, line {number}: expected '<sha256>  <file>', got {line[:100]!r}")
        listed[name] = digest
    return listed


def _parse_manifest(path: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadPackage(f"{path}: {where}: {first['msg']}, got {str(first['input'])[:80]!r}") from None


def _golden(path: Path, files: Mapping[str, bytes]) -> tuple[Golden, ...]:
    names = sorted(PurePosixPath(n).stem for n in files if n.startswith("golden/") and n.endswith(".png"))
    for name in names:
        if f"golden/{name}.json" not in files:
            raise BadPackage(f"{path}/golden/{name}.json: expected the golden result of {name}.png, got no such file")
    if not names:
        raise BadPackage(f"{path}/golden: expected at least one golden image, got none")
    return tuple(Golden(n, files[f"golden/{n}.png"], files[f"golden/{n}.json"]) for n in names)
