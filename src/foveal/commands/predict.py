"""`foveal predict`: batch inference over files."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foveal.formats import Entry, Writer
    from foveal.formats.pictures import Pictures
    from foveal.options import Options
    from foveal.predictor import Predictor
    from foveal.sources import Source


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, folders, globs, .tar, @LIST or - (stdin).")
    ],
    model: Annotated[str, typer.Option(help="NAME, NAME@VERSION or a package folder.")],
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
    format_: Annotated[str, typer.Option("--format", help="jsonl | csv | coco")] = "jsonl",
    out: Annotated[Path | None, typer.Option(help="Write here instead of stdout.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Folder for annotated pictures (JPEG).")] = None,
    maps: Annotated[Path | None, typer.Option(help="Folder for PNGs of instance or class ids.")] = None,
    coco_truth: Annotated[Path | None, typer.Option(help="Format coco: a data set whose ids to use.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue --out after a kill; nothing lost or doubled.")] = False,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only every N-th picture, from the I-th.")] = None,
    fail_fast: Annotated[bool, typer.Option(help="Stop at the first picture that fails.")] = False,
    top_k: Annotated[str | None, typer.Option(help="Classification: number of classes, best first.")] = None,
    score_threshold: Annotated[str | None, typer.Option(help="Drop detections below, 0..1.")] = None,
    iou_threshold: Annotated[str | None, typer.Option(help="NMS overlap, 0..1.")] = None,
    max_detections: Annotated[str | None, typer.Option(help="At most so many detections, 1..300.")] = None,
    classes: Annotated[str | None, typer.Option(help="Comma list: only these labels.")] = None,
    mask_format: Annotated[str | None, typer.Option(help="rle | polygon | png | none")] = None,
    tile: Annotated[str | None, typer.Option(help="Class maps: windows of so many px, for large pictures.")] = None,
    provider: Annotated[str, typer.Option(help="cpu | cuda | tensorrt | openvino")] = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures the session takes at a time; 1 is best on CPU.")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Files read and decoded at the same time.")] = 2,
) -> None:
    """Run a model over files, folders, globs, tar archives and lists of names.

    One entry an image, in input order; a file that cannot be read gives an error line and exit code 1 at the end.
    """
    from foveal import load
    from foveal.errors import BadRequest, UnknownName
    from foveal.formats import FORMATS
    from foveal.formats.pictures import Pictures
    from foveal.options import Options
    from foveal.sources import expand
    from foveal.sources import shard as take_shard

    if format_ not in FORMATS:
        raise UnknownName.among("format", format_, FORMATS)
    if resume and out is None:
        raise BadRequest("--resume: expected --out FILE beside it; stdout cannot be continued")
    if resume and not FORMATS[format_].resumable:
        raise BadRequest(f"--resume: expected a format that can be continued, got {format_}")
    if coco_truth is not None and format_ != "coco":
        raise BadRequest(f"--coco-truth: expected --format coco, got {format_}")
    sources = expand(paths) if shard is None else take_shard(expand(paths), shard)
    predictor = load(model, zoo=zoo, provider=provider)
    if batch_size > predictor.manifest.max_batch:
        raise BadRequest(f"--batch-size: expected at most {predictor.manifest.max_batch}, got {batch_size}")
    raw = {
        "top_k": top_k,
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "classes": classes,
        "mask_format": mask_format,
        "tile": tile,
    }
    given = {name: text for name, text in raw.items() if text is not None}
    options = Options.parse(given, applicable=predictor.task.option_names, labels=predictor.manifest.labels)
    pictures = Pictures(overlay, maps)
    pictures.check(predictor.manifest.task)
    job = Job(
        predictor, sources, options.resolved(predictor.manifest), format_, batch_size, threads, pictures, coco_truth
    )
    start = perf_counter()
    counts = job.to_file(out, resume=resume, fail_fast=fail_fast) if out else job.to_stdout(fail_fast=fail_fast)
    typer.echo(_summary(counts, perf_counter() - start), err=True)
    if counts["failed"]:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Job:
    """One batch job: everything that shapes its output."""

    predictor: Predictor
    sources: Sequence[Source]
    options: Options  # resolved
    format: str
    batch_size: int
    threads: int
    pictures: Pictures
    coco_truth: Path | None

    def to_stdout(self, *, fail_fast: bool) -> Counter[str]:
        """Write every entry to stdout; returns the counts of `_counted`."""
        counts: Counter[str] = Counter()
        writer, stream = self._writer(), sys.stdout.buffer
        stream.write(writer.open())
        for entry in _counted(self._entries(skip=0), counts, fail_fast=fail_fast):
            stream.write(writer.write(entry))
        stream.write(writer.close())
        stream.flush()
        return counts

    def to_file(self, out: Path, *, resume: bool, fail_fast: bool) -> Counter[str]:
        """Write every entry to a file that can be resumed after a kill."""
        from foveal.journal import JournaledFile

        counts: Counter[str] = Counter()
        writer = self._writer()
        with JournaledFile(out, job=self._fingerprint(), resume=resume) as file:
            counts["skipped"] = file.done
            head = writer.open()
            if not file.done:
                file.write(head)
            for entry in _counted(self._entries(skip=file.done), counts, fail_fast=fail_fast):
                file.append(writer.write(entry))
            file.write(writer.close())
        return counts

    def _writer(self) -> Writer:
        from foveal.formats import FORMATS
        from foveal.formats.coco import CocoIds, CocoResults

        if self.coco_truth is not None:
            return CocoResults(self.predictor.manifest, self.options, CocoIds.read(self.coco_truth))
        return FORMATS[self.format](self.predictor.manifest, self.options)

    def _entries(self, *, skip: int) -> Iterator[Entry]:
        from foveal.batch import run
        from foveal.progress import track

        left = self.sources[skip:]
        entries = run(self.predictor, left, options=self.options, batch_size=self.batch_size, threads=self.threads)
        for source, entry in zip(left, track(entries, total=len(left), what="predict"), strict=True):
            self.pictures.write(source, entry)  # before the entry, so that a resumed job lacks none
            yield entry

    def _fingerprint(self) -> str:
        parts = [self.predictor.package.digest, repr(self.options), self.format, *(s.name for s in self.sources)]
        return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def _counted(entries: Iterable[Entry], counts: Counter[str], *, fail_fast: bool) -> Iterator[Entry]:
    """Pass entries on and count them: `images`, `failed`."""
    for entry in entries:
        counts["images"] += 1
        counts["failed"] += entry.failed
        yield entry
        if entry.failed and fail_fast:
            typer.echo(f"foveal: {entry.name}: {entry.outcome}", err=True)
            return


def _summary(counts: Counter[str], seconds: float) -> str:
    words = f"foveal: {counts['images']} images in {seconds:.1f} s, {counts['images'] / seconds:.1f} images/s"
    if counts["skipped"]:
        words += f"; {counts['skipped']} were there already"
    if counts["failed"]:
        words += f"; {counts['failed']} of {counts['images']} images failed, their lines say why"
    return words
