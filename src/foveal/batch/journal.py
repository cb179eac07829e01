"""Journaled output (`JournaledFile`): a file that can be continued after a kill.

Beside OUT lies OUT.journal while the work runs: what the entries so far came to, how many bytes of OUT they fill, and a
fingerprint of the job. Resuming cuts OUT back to those bytes (a torn line goes) and continues with the next entry, so
the finished file is the one that an uninterrupted run writes. It works for every format, since it counts bytes.
"""

import json
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from foveal.batch.tally import Tally
from foveal.errors import BadOutput

EVERY_S = 2.0  # how much work a kill may cost
NOTHING = Tally()


class JournaledFile:
    """A context manager around OUT: the entries of `tally` are already there; `append` adds the next ones."""

    def __init__(self, out: Path, *, job: str, resume: bool) -> None:
        """Open OUT.

        Args:
            out: the file to write.
            job: fingerprint of everything that shapes the output; a resume under another one is refused.
            resume: continue OUT if it has a journal; otherwise start over.

        Raises:
            BadOutput: the journal belongs to another job, or OUT is shorter than the journal says.
        """
        self._path, self._journal, self._job = out, out.with_name(out.name + ".journal"), job
        self.tally, self._bytes = self._read() if resume and self._journal.exists() else (Tally(), 0)
        try:
            if not self._bytes:
                self._journal.unlink(missing_ok=True)  # of a job that is now given up
            self._file: BinaryIO = out.open("r+b" if self._bytes else "wb")
        except OSError as error:
            raise BadOutput(f"{out}: expected a file that can be written: {error.strerror}") from None
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)
        self._disk, self._saving = ThreadPoolExecutor(1, "journal"), Future[None]()
        self._saving.set_result(None)
        self._saved_at = time.monotonic()

    def __enter__(self) -> "JournaledFile":
        return self

    @property
    def empty(self) -> bool:
        """True when there is no byte yet, so that a header belongs here."""
        return self._bytes == 0

    def append(self, data: bytes, tally: Tally = NOTHING) -> None:
        """Write the next entries, which come to `tally`, or a header; now and then note how far we are."""
        self._bytes += self._file.write(data)
        self.tally += tally
        if time.monotonic() - self._saved_at > EVERY_S and self._saving.done():
            self._save_behind()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finished: the journal goes. Failed or interrupted: it stays, up to date, for a resume."""
        try:
            self.save()
        finally:
            self._disk.shutdown()
            self._file.close()
        if kind is None:
            self._journal.unlink()

    def save(self) -> None:
        """Wait until all bytes are on the disk and the journal says so."""
        self._save_behind()
        self._saving.result()

    def _save_behind(self) -> None:
        """The same, while the work goes on: against power cuts the disk is waited for, up to 100 ms on a slow one."""
        self._saving.result()  # a fault of the one before shows here
        self._file.flush()
        self._saving = self._disk.submit(self._note, self._bytes, self.tally)
        self._saved_at = time.monotonic()

    def _note(self, size: int, tally: Tally) -> None:
        os.fsync(self._file.fileno())  # later bytes may follow: what counts is that the first `size` are there
        temporary = self._journal.with_name(self._journal.name + ".tmp")
        temporary.write_text(json.dumps({"job": self._job, "bytes": size, "tally": tally.to_json()}))
        os.replace(temporary, self._journal)

    def _read(self) -> tuple[Tally, int]:
        try:
            saved = json.loads(self._journal.read_text())
            job, tally, size = str(saved["job"]), Tally(**saved["tally"]), int(saved["bytes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadOutput(f"{self._journal}: expected a journal written by Foveal: {error}") from None
        if job != self._job:
            raise BadOutput(
                f"{self._path}: expected the same model, options, format and images as the run that it resumes; "
                "they differ. Run without --resume to start over"
            )
        if not self._path.exists() or self._path.stat().st_size < size:
            raise BadOutput(f"{self._path}: expected at least {size} bytes, as its journal says")
        return tally, size
