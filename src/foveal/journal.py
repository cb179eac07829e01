"""Output that survives a kill: what is on disk, and how far that got, are written so that a resume loses nothing.

Beside OUT lies OUT.journal while the work runs: how many entries are done, how many bytes of OUT they fill, and a
fingerprint of the job. Resuming cuts OUT back to those bytes (a torn line goes) and continues with the next entry, so
the finished file is the one that an uninterrupted run writes. It works for every format, since it counts bytes.
"""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from foveal.errors import BadOutput

EVERY_S = 0.5  # how much work a kill may cost


class JournaledFile:
    """A context manager around OUT: `done` entries are already there; `append` adds the next one."""

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
        self.done, self._bytes = self._read() if resume and self._journal.exists() else (0, 0)
        try:
            self._file: BinaryIO = out.open("r+b" if self.done else "wb")
        except OSError as error:
            raise BadOutput(f"{out}: expected a file that can be written: {error.strerror}") from None
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)
        self._saved_at = 0.0

    def __enter__(self) -> "JournaledFile":
        return self

    def write(self, data: bytes) -> None:
        """Write what belongs to no entry: the header or the end."""
        self._bytes += self._file.write(data)

    def append(self, data: bytes) -> None:
        """Write one entry; now and then note how far we are."""
        self.write(data)
        self.done += 1
        if time.monotonic() - self._saved_at > EVERY_S:
            self._save()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finished: the journal goes. Failed or interrupted: it stays, up to date, for a resume."""
        if kind is not None:
            self._save()
        self._file.close()
        if kind is None:
            self._journal.unlink(missing_ok=True)

    def _save(self) -> None:
        self._file.flush()
        temporary = self._journal.with_name(self._journal.name + ".tmp")
        temporary.write_text(json.dumps({"job": self._job, "done": self.done, "bytes": self._bytes}))
        os.replace(temporary, self._journal)
        self._saved_at = time.monotonic()

    def _read(self) -> tuple[int, int]:
        try:
            saved = json.loads(self._journal.read_text())
            job, done, size = str(saved["job"]), int(saved["done"]), int(saved["bytes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadOutput(f"{self._journal}: expected a journal written by Foveal: {error}") from None
        if job != self._job:
            raise BadOutput(
                f"{self._path}: expected the same model, options, format and pictures as the run that it resumes; "
                "they differ. Run without --resume to start over"
            )
        if not self._path.exists() or self._path.stat().st_size < size:
            raise BadOutput(f"{self._path}: expected at least {size} bytes, as its journal says")
        return done, size
