"""Batch jobs (`Job`): everything that shapes an output, and the bytes that it gives, wherever it runs.

A job can be pickled, and the bytes of an image depend on the job and that image alone: engines may share out the
images as they like, and what they give, joined in input order, is the same file.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from foveal import __version__
from foveal.batch.image_files import ImageFiles
from foveal.batch.local import default_threads, processors, run
from foveal.batch.sources import Source
from foveal.batch.tally import Tally
from foveal.errors import FovealError
from foveal.formats import FORMATS, Entry, Writer
from foveal.formats.coco import CocoIds, CocoResults
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings
from foveal.options import Options
from foveal.packages.package import ModelPackage


@dataclass(frozen=True)
class Piece:
    """The output of some images that follow each other in the input."""

    data: bytes
    tally: Tally


@dataclass(frozen=True)
class Job:
    """One model over many images."""

    package: ModelPackage
    options: Options  # resolved
    settings: SessionSettings = field(default_factory=SessionSettings)
    format: str = "jsonl"
    coco_ids: CocoIds | None = None  # format coco: of a data set
    images: ImageFiles = field(default_factory=ImageFiles)
    batch_size: int = 1  # images that a run of the session takes
    threads: int = field(default_factory=default_threads)  # runs side by side, each with its reading and decoding
    fail_fast: bool = False  # the first image that fails is the last one

    def writer(self) -> Writer:
        """A fresh writer of the job's format."""
        if self.coco_ids is not None:
            return CocoResults(self.package.manifest.pipeline, self.options, self.coco_ids)
        return FORMATS[self.format](self.package.manifest.pipeline, self.options)

    def predictor(self) -> Predictor:
        """A session of the job's model; unless the settings say otherwise, runs side by side share the cores."""
        threads = self.settings.threads or max(1, processors() // self.threads)
        return Predictor(self.package, replace(self.settings, threads=threads))

    def pieces(self, predictor: Predictor, sources: Sequence[Source]) -> Iterator[Piece]:
        """One piece an image, in order; image files beside the output are written on the way."""
        writer = self.writer()
        entries = run(predictor, sources, options=self.options, batch_size=self.batch_size, threads=self.threads)
        for source, entry in zip(sources, entries, strict=True):
            self.images.write(source, entry, predictor.task)  # before the entry, so that a resumed job lacks none
            yield Piece(writer.write(entry), tally_of(entry))
            if entry.failed and self.fail_fast:
                return

    def fingerprint(self, sources: Sequence[Source]) -> str:
        """Equal for jobs whose outputs are equal."""
        shape = (__version__, self.package.digest, self.options, self.format, self.settings.provider, self.images)
        digest = hashlib.sha256(repr((*shape, self.coco_ids)).encode(errors="surrogatepass"))
        for source in sources:
            digest.update(f"\0{source.name}\0{source.offset}\0{source.size}".encode(errors="surrogatepass"))
        return digest.hexdigest()


def tally_of(entry: Entry) -> Tally:
    """What one image adds to the job's counts."""
    if isinstance(entry.outcome, FovealError):
        return Tally(images=1, failed=1, first_failure=f"{entry.name}: {entry.outcome}")
    return Tally(images=1, found=dict(entry.outcome.summary()))
