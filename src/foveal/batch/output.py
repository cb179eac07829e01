"""Output of a batch job: to a file that survives a kill (`to_file`), or to a stream (`to_stream`).

Formats whose entries depend on each other (COCO's array, Parquet's index) are kept as lines while the job runs; the
file is assembled of them at the end.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from foveal.batch.job import Job, Piece
from foveal.batch.journal import JournaledFile, writing
from foveal.batch.sources import Source
from foveal.batch.summary import Summary
from foveal.batch.tally import Tally
from foveal.errors import BadOutput
from foveal.formats import Framed, to_json
from foveal.progress import track

Engine = Callable[[Sequence[Source]], Iterator[Piece]]  # sources -> their pieces, in order


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; says how many images are done."""


def to_stream(job: Job, sources: Sequence[Source], run: Engine, stream: BinaryIO) -> Tally:
    """Write everything to a stream, which cannot be resumed.

    Returns:
        What the job came to.

    Raises:
        BadOutput: it does not take everything: its disk is full, or its reader has gone. Interrupted: see there.
    """
    writer, tally = job.writer(), Tally()
    if isinstance(writer, Framed):
        with TemporaryDirectory(prefix="foveal-") as folder:
            tally, _ = to_file(job, sources, run, Path(folder, "out"), resume=False)
            with Path(folder, "out").open("rb") as file, writing("stdout"):
                shutil.copyfileobj(file, stream)
                stream.flush()
        return tally
    try:
        _put(stream, writer.header())
        for piece in _tracked(run, sources):
            _put(stream, piece.data)
            tally += piece.tally
        with writing("stdout"):
            stream.flush()
    except KeyboardInterrupt:
        raise Interrupted(f"{tally.images} of {len(sources)} images are done; with --out FILE a job goes on") from None
    return tally


def to_file(
    job: Job, sources: Sequence[Source], run: Engine, out: Path, *, resume: bool, overwrite: bool = False
) -> tuple[Tally, int]:
    """Write a file that can be resumed after a kill.

    Returns:
        What all of it came to, also what was there before a resume; and how many images that was.

    Raises:
        BadOutput: see JournaledFile; the disk is full; or an input has changed since it was predicted. Interrupted: see
            there.
    """
    out = Path(os.path.realpath(out))  # two links to one file have one journal
    writer = job.writer()
    grown = out.with_name(out.name + ".lines") if isinstance(writer, Framed) else out
    stamps = [source.stamp() for source in sources]  # before anything is read: a change from now on is seen
    opened = JournaledFile(out, job=job.fingerprint(sources), resume=resume, overwrite=overwrite, grown=grown)
    try:
        with opened as file:
            skipped = done = file.tally.images
            _expect_unchanged(sources, stamps, file.inputs, out)
            if file.empty:
                file.append(writer.header())
            for piece in _tracked(run, sources[skipped:]):
                file.append(piece.data, piece.tally, stamps[done : done + piece.tally.images])
                done += piece.tally.images
            if isinstance(writer, Framed):
                file.save()
                _assemble(writer, grown, out)
    except KeyboardInterrupt:
        done = opened.tally.images
        raise Interrupted(f"{done} of {len(sources)} images are done; the same command with --resume goes on") from None
    if grown != out:
        grown.unlink()
    return opened.tally, skipped


def write_summary(path: Path, summary: Summary) -> None:
    """The counts of a job, as one JSON object.

    Raises:
        BadOutput: the file cannot be written.
    """
    with writing(path):
        path.write_bytes(to_json(summary.to_json()) + b"\n")


def _put(stream: BinaryIO, data: bytes) -> None:
    with writing("stdout"):
        stream.write(data)


def _expect_unchanged(sources: Sequence[Source], now: Sequence[str], then: Sequence[str], out: Path) -> None:
    for source, new, old in zip(sources, now, then, strict=False):  # `then` ends where the work stopped
        if new != old:
            raise BadOutput(
                f"{out}: expected inputs as they were when they were predicted, got a changed one: {source.name}; "
                "--overwrite starts over"
            )


def _tracked(run: Engine, sources: Sequence[Source]) -> Iterator[Piece]:
    return track(run(sources), total=len(sources), what="predict", size=lambda piece: piece.tally.images)


def _assemble(writer: Framed, lines: Path, out: Path) -> None:
    """The finished file appears at once or not at all."""
    temporary = out.with_name(out.name + ".tmp")
    try:
        with writing(out):
            with lines.open("rb") as read, temporary.open("wb") as written:
                writer.assemble(read, written)
            os.replace(temporary, out)
    except BaseException:
        temporary.unlink(missing_ok=True)  # it takes the room that a resume needs
        raise
