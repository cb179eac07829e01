"""Journaled output (`JournaledFile`): a file that can be continued after a kill.

Beside OUT lies OUT.journal while the work runs: first a fingerprint of the job, then a line for each time that the
bytes so far were on the disk: how many they are, what the entries since the last line came to, and the stamps of their
inputs. Resuming cuts OUT back to the bytes of the last whole line (a torn entry goes) and continues with the next
entry, so the finished file is the one that an uninterrupted run writes. It works for every format, since it counts
bytes.

The journal is locked while the job runs: two processes never write one OUT. The system takes the lock from a process
that dies, so that none is left behind.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from foveal.batch.sources import kind_of
from foveal.batch.tally import Tally
from foveal.errors import BadOutput

EVERY_S = 2.0  # how much work a kill may cost
NOTHING = Tally()


@dataclass
class Progress:
    """What a journal says: how far the job came."""

    bytes: int = 0
    tally: Tally = NOTHING
    inputs: list[str] = field(default_factory=list)  # stamps, in the order of the entries


class JournaledFile:
    """A context manager around a file: the entries of `tally` are already there; `append` adds the next ones."""

    def __init__(
        self, out: Path, *, job: str, resume: bool, overwrite: bool = False, grown: Path | None = None
    ) -> None:
        """Open the file.

        Args:
            out: the job's output.
            job: fingerprint of everything that shapes the output; a resume under another one is refused.
            resume: continue the file if it has a journal; otherwise start over.
            overwrite: replace what is there.
            grown: the file to write where `out` is made of it in the end.

        Raises:
            BadOutput: there is an output already, another process writes it, the journal belongs to another job, the
                file is shorter than the journal says, or there is no place to write.
        """
        self._path, self._journal = grown or out, _journal_of(out)
        self._lock, self._bytes, self.tally = _locked(out), 0, NOTHING
        try:
            self._begin(out, job, resume=resume, overwrite=overwrite)
        except BaseException as error:
            if not os.fstat(self._lock).st_size:
                self._journal.unlink(missing_ok=True)
            os.close(self._lock)
            if isinstance(error, OSError):
                raise BadOutput(f"{self._path}: expected a file that can be written: {error.strerror}") from None
            raise
        self._pending: list[tuple[Tally, list[str]]] = []  # appended since the last line
        self._appended = self._noted = 0  # how many of them, and how many lines speak of
        self._disk, self._saving = ThreadPoolExecutor(1, "journal"), Future[None]()
        self._saving.set_result(None)
        self._saved_at = time.monotonic()

    def __enter__(self) -> "JournaledFile":
        return self

    @property
    def empty(self) -> bool:
        """True when there is no byte yet, so that a header belongs here."""
        return self._bytes == 0

    def append(self, data: bytes, tally: Tally = NOTHING, inputs: list[str] | None = None) -> None:
        """Write the next entries, which come to `tally`, or a header; now and then note how far we are.

        Args:
            data: their bytes.
            tally: what they came to.
            inputs: a stamp for each entry's input.

        Raises:
            BadOutput: the disk is full, or otherwise does not take them.
        """
        with writing(self._path):
            written, whole = self._file.write(data), self.tally + tally
            self._pending.append((tally, inputs or []))
            # in one step: a Ctrl-C comes before it or behind it, and the bytes and the tally stay those of one moment
            self._bytes, self.tally, self._appended = self._bytes + written, whole, self._appended + 1
            if time.monotonic() - self._saved_at > EVERY_S and self._saving.done():
                self._save_behind()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finished: the journal goes. Failed or interrupted: it stays, as far as the disk takes it, for a resume."""
        saved = False
        try:
            # of two faults the first one tells more; what the journal lacks is done again
            with suppress(*[BadOutput] if kind else []):
                self.save()
                saved = True
        finally:
            self._disk.shutdown()
            with suppress(OSError):  # bytes that the disk did not take: the journal does not speak of them
                self._file.close()
            if kind is None and saved:
                self._journal.unlink()
            os.close(self._lock)

    def save(self) -> None:
        """Wait until all bytes are on the disk and the journal says so.

        Raises:
            BadOutput: the disk is full, or otherwise does not take them.
        """
        with writing(self._path):
            self._save_behind()
            self._saving.result()

    def _save_behind(self) -> None:
        """The same, while the work goes on: against power cuts the disk is waited for, up to 100 ms on a slow one."""
        self._saving.result()  # a fault of the one before shows here
        self._file.flush()
        self._saving = self._disk.submit(self._note, self._bytes, self._appended)
        self._saved_at = time.monotonic()

    def _begin(self, out: Path, job: str, *, resume: bool, overwrite: bool) -> None:
        expect_free(out, resume=resume, overwrite=overwrite)
        done, self._whole = self._read(job) if resume else (Progress(), 0)
        self.tally, self._bytes, self.inputs = done.tally, done.bytes, done.inputs
        os.ftruncate(self._lock, self._whole)  # a line that a kill tore, or all of a job that is given up
        if not self._whole:
            self._write_line({"job": job})
        self._file: BinaryIO = self._path.open("r+b" if self._bytes else "wb")
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)

    def _note(self, size: int, appended: int) -> None:
        os.fsync(self._file.fileno())  # later bytes may follow: what counts is that the first `size` are there
        new = self._pending[: appended - self._noted]
        tally = sum((part for part, _ in new), Tally())
        stamps = [stamp for _, inputs in new for stamp in inputs]
        self._write_line({"bytes": size, "tally": tally.to_json(), "inputs": stamps})
        del self._pending[: len(new)]
        self._noted = appended

    def _write_line(self, values: dict[str, object]) -> None:
        line = json.dumps(values).encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._lock, line[written:], self._whole + written)
            os.fsync(self._lock)
        except OSError:
            os.ftruncate(self._lock, self._whole)  # no half line; to shrink a file needs no room
            raise
        self._whole += len(line)

    def _read(self, job: str) -> tuple[Progress, int]:
        """What the journal's whole lines say, and their bytes; nothing where no job has begun."""
        text = self._journal.read_bytes()
        whole = text.rfind(b"\n") + 1
        done = Progress()
        if not whole:
            return done, 0
        try:
            first, *rest = map(json.loads, text[:whole].splitlines())
            same = first["job"] == job
            for line in rest:
                done.bytes = int(line["bytes"])
                done.tally += Tally(**line["tally"])
                done.inputs += map(str, line["inputs"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadOutput(f"{self._journal}: expected a journal written by this version of Foveal: {error}") from None
        if not same:
            raise BadOutput(
                f"{self._path}: expected the same model, options, format, provider, images, image folders and version "
                "of Foveal as the run that it resumes; they differ. --overwrite starts over"
            )
        if done.bytes and (not self._path.exists() or self._path.stat().st_size < done.bytes):
            raise BadOutput(f"{self._path}: expected at least {done.bytes} bytes, as its journal says")
        return done, whole


@contextmanager
def writing(what: Path | str) -> Iterator[None]:
    """What the system says of a write is a fault of the output, not of an image."""
    try:
        yield
    except OSError as error:
        raise BadOutput(f"{what}: expected a place that takes all results: {error.strerror}") from error


def expect_free(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to write over results that nobody gave up.

    Raises:
        BadOutput: there is an output already, or it is no file.
    """
    begun = _journal_of(out).exists() and _journal_of(out).stat().st_size > 0
    try:
        other = kind_of(out.stat())
    except OSError:
        return
    if other:
        raise BadOutput(f"{out}: expected a file for --out, got {other}; without --out results go to stdout")
    if resume and not begun:
        raise BadOutput(
            f"{out}: expected an unfinished output with a journal, got a file without; --overwrite starts over"
        )
    if begun and not resume and not overwrite:
        raise BadOutput(
            f"{out}: expected a new file, got an unfinished output; --resume goes on, --overwrite starts over"
        )
    if not resume and not overwrite:
        raise BadOutput(f"{out}: expected a new file, got one that exists; --overwrite replaces it")


def _journal_of(out: Path) -> Path:
    return out.with_name(out.name + ".journal")


def _locked(out: Path) -> int:
    """Open the journal, made where there is none, and hold its lock."""
    journal = _journal_of(out)
    try:
        while True:
            file = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file), os.stat(journal)):
                    return file
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # of a job that ended between our two calls: its journal is gone
    except BlockingIOError:
        raise BadOutput(f"{out}: expected to be its only writer, got another process at work on it") from None
    except OSError as error:
        raise BadOutput(f"{out}: expected a place for it and {journal.name}: {error.strerror}") from None
