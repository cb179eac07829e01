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
from foveal.batch.journal import JournaledFile
from foveal.batch.sources import Source
from foveal.batch.tally import Tally
from foveal.formats import Framed
from foveal.progress import track

Engine = Callable[[Sequence[Source]], Iterator[Piece]]  # sources -> their pieces, in order


def to_stream(job: Job, sources: Sequence[Source], run: Engine, stream: BinaryIO) -> Tally:
    """Write everything to a stream, which cannot be resumed.

    Returns:
        What the job came to.
    """
    writer, tally = job.writer(), Tally()
    if isinstance(writer, Framed):
        with TemporaryDirectory(prefix="foveal-") as folder:
            tally, _ = to_file(job, sources, run, Path(folder, "out"), resume=False)
            with Path(folder, "out").open("rb") as file:
                shutil.copyfileobj(file, stream)
    else:
        stream.write(writer.header())
        for piece in _tracked(run, sources):
            stream.write(piece.data)
            tally += piece.tally
    stream.flush()
    return tally


def to_file(job: Job, sources: Sequence[Source], run: Engine, out: Path, *, resume: bool) -> tuple[Tally, int]:
    """Write a file that can be resumed after a kill.

    Returns:
        What all of it came to, also what was there before a resume; and how many images that was.
    """
    writer = job.writer()
    grown = out.with_name(out.name + ".lines") if isinstance(writer, Framed) else out
    with JournaledFile(grown, job=job.fingerprint(sources), resume=resume) as file:
        skipped = file.tally.images
        if file.empty:
            file.append(writer.header())
        for piece in _tracked(run, sources[skipped:]):
            file.append(piece.data, piece.tally)
        if isinstance(writer, Framed):
            file.save()
            _assemble(writer, grown, out)
    if grown != out:
        grown.unlink()
    return file.tally, skipped


def _tracked(run: Engine, sources: Sequence[Source]) -> Iterator[Piece]:
    return track(run(sources), total=len(sources), what="predict", size=lambda piece: piece.tally.images)


def _assemble(writer: Framed, lines: Path, out: Path) -> None:
    """The finished file appears at once or not at all."""
    temporary = out.with_name(out.name + ".tmp")
    with lines.open("rb") as read, temporary.open("wb") as written:
        writer.assemble(read, written)
    os.replace(temporary, out)
