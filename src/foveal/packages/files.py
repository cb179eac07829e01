"""Files of a package folder (`read`, `digest`, `names`): regular ones of bounded size; links are not followed."""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foveal.errors import BadPackage

MAX_ENTRIES = 10_000  # files and folders in a package
MAX_DEPTH = 8
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read(path: Path, limit: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        BadPackage: it is missing or not readable, of another kind (a link is not followed), or over `limit` bytes.
    """
    with _readable(path), _opened(path, limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:  # it grew meanwhile
        raise _too_large(path, limit, len(content))
    return content


def digest(path: Path, limit: int) -> str:
    """The sha256 of a regular file in hex, without holding the file. Raises as `read`."""
    with _readable(path), _opened(path, limit) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names(folder: Path) -> set[str]:
    """Every file in a folder, as a relative POSIX path.

    Raises:
        BadPackage: the folder cannot be read, has too many entries, or holds something else than files and folders.
    """
    found = set()
    with _readable(folder):
        for count, (name, entry) in enumerate(_walk(folder, "", 0), 1):
            if count > MAX_ENTRIES:
                raise BadPackage(f"{folder}: expected at most {MAX_ENTRIES} files and folders, got more")
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISREG(mode):
                found.add(name)
            elif not stat.S_ISDIR(mode):
                raise _other_kind(folder / name, mode)
    return found


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    if depth > MAX_DEPTH:
        raise BadPackage(f"{folder}/{prefix}: expected at most {MAX_DEPTH} nested folders, got more")
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
            yield prefix + entry.name, entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder, f"{prefix}{entry.name}/", depth + 1)


@contextmanager
def _opened(path: Path, limit: int) -> Iterator[io.BufferedReader]:
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):  # asked before: opening a device may act on it
        raise _other_kind(path, mode)
    # O_NONBLOCK: should it have become a FIFO meanwhile, opening it would wait for a writer
    with open(path, "rb", opener=lambda name, _: os.open(name, _FLAGS)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _other_kind(path, found.st_mode)
        if found.st_size > limit:
            raise _too_large(path, limit, found.st_size)
        yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the operating system refuses is a fault of the package."""
    try:
        yield
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadPackage(f"{path}: expected a readable file: {reason}") from None


def _other_kind(path: Path, mode: int) -> BadPackage:
    return BadPackage(f"{path}: expected a regular file, got {_KINDS.get(stat.S_IFMT(mode), 'something else')}")


def _too_large(path: Path, limit: int, got: int) -> BadPackage:
    return BadPackage(f"{path}: expected at most {limit} bytes, got {got}")
