"""`foveal predict`: batch inference over files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.commands.parameters import Provider, Zoo

if TYPE_CHECKING:
    from foveal.batch.inputs import Inputs
    from foveal.batch.job import Job
    from foveal.batch.output import Engine
    from foveal.batch.sources import Source
    from foveal.options import Options
    from foveal.packages.package import ModelPackage

Text = str | None  # options of a prediction come as text: foveal.options parses them, for HTTP and here
Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Files, folders, globs, .tar, @LIST or - (stdin).")]
Model = Annotated[str, typer.Option(help="NAME, NAME@VERSION or a package folder.")]
Format = Annotated[str, typer.Option("--format", help="jsonl | csv | coco | parquet")]
Out = Annotated[Path | None, typer.Option(help="A new file instead of stdout.")]
Overlay = Annotated[Path | None, typer.Option(help="Folder for annotated images (JPEG).")]
Maps = Annotated[Path | None, typer.Option(help="Folder for PNGs of instance or class ids.")]
CocoTruth = Annotated[Path | None, typer.Option(help="Format coco: a data set whose ids to use.")]
Resume = Annotated[bool, typer.Option(help="Continue --out after a kill; nothing lost or doubled.")]
Overwrite = Annotated[bool, typer.Option(help="Replace --out if it exists.")]
SummaryFile = Annotated[Path | None, typer.Option("--summary", help="Write the counts here too, as JSON.")]
Shard = Annotated[str | None, typer.Option(metavar="I/N", help="Only every N-th image, from the I-th.")]
FailFast = Annotated[bool, typer.Option(help="Stop at the first image that fails.")]
TopK = Annotated[Text, typer.Option(help="Classification: number of classes, best first.")]
ScoreThreshold = Annotated[Text, typer.Option(help="Keep detections with a score strictly greater, 0..1.")]
IouThreshold = Annotated[Text, typer.Option(help="NMS overlap, 0..1.")]
MaxDetections = Annotated[Text, typer.Option(help="At most so many detections, 1..300.")]
Classes = Annotated[Text, typer.Option(help="Comma list: only these labels.")]
MaskFormat = Annotated[Text, typer.Option(help="rle | polygon | png | none")]
Tile = Annotated[Text, typer.Option(help="Class maps: windows of so many px, for large images.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images a run of the session takes; 1 is best on CPU.")]
Threads = Annotated[int | None, typer.Option(min=1, max=64, help="Runs side by side; default one a core, at most 8.")]
EngineName = Annotated[str, typer.Option(help="local | ray: here, or shared out over a Ray cluster.")]
RayAddress = Annotated[
    str | None, typer.Option(help="HOST:PORT, auto (RAY_ADDRESS or this machine's Ray) or local (start one).")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Ray: how many; default one a processor.")]


def predict(
    paths: Paths,
    model: Model,
    zoo: Zoo = None,
    format_: Format = "jsonl",
    out: Out = None,
    overlay: Overlay = None,
    maps: Maps = None,
    coco_truth: CocoTruth = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    summary: SummaryFile = None,
    shard: Shard = None,
    fail_fast: FailFast = False,
    top_k: TopK = None,
    score_threshold: ScoreThreshold = None,
    iou_threshold: IouThreshold = None,
    max_detections: MaxDetections = None,
    classes: Classes = None,
    mask_format: MaskFormat = None,
    tile: Tile = None,
    provider: Provider = "cpu",
    batch_size: BatchSize = 1,
    threads: Threads = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
) -> None:
    """Run a model over files, folders, globs, tar archives and lists of names.

    One entry an image, in input order; a file that cannot be read gives an error line and exit code 1 at the end.
    """
    arguments = locals()  # before any other name comes up
    from foveal.batch.image_files import ImageFiles
    from foveal.batch.inputs import gather
    from foveal.batch.job import Job
    from foveal.batch.local import default_threads
    from foveal.formats.coco import CocoIds
    from foveal.inference.session import SessionSettings
    from foveal.options import OPTIONS

    given = {name: arguments[name] for name in OPTIONS}
    to = _Output(out, summary, resume=resume, overwrite=overwrite)
    _check(format_, to, coco_truth, given)
    inputs, package = gather(paths), _package(model, zoo, batch_size)
    job = Job(
        package,
        _options(package, given),
        SessionSettings(provider=provider),
        format=format_,
        coco_ids=None if coco_truth is None else CocoIds.read(coco_truth),
        images=ImageFiles(overlay, maps),
        batch_size=batch_size,
        threads=threads or default_threads(),
        fail_fast=fail_fast,
    )
    job.images.check(package.manifest.task)
    sources = _sources(job, inputs, shard)
    _run(job, inputs, sources, _engine(job, engine, ray_address, workers), to)


@dataclass(frozen=True)
class _Output:
    """Where results and counts go."""

    out: Path | None
    summary: Path | None
    resume: bool
    overwrite: bool


def _check(format_: str, to: _Output, coco_truth: Path | None, options: Mapping[str, str | None]) -> None:
    """Refuse flags that do not go together, before anything is opened."""
    from foveal.batch.journal import expect_free
    from foveal.errors import BadRequest, UnknownName
    from foveal.formats import FORMATS

    if format_ not in FORMATS:
        raise UnknownName.among("format", format_, FORMATS)
    for name in FORMATS[format_].unused_options:
        if options[name] is not None:
            raise BadRequest(f"--{name.replace('_', '-')}: expected a format that it changes, got --format {format_}")
    if to.resume and to.overwrite:
        raise BadRequest("--resume, --overwrite: expected one of them, got both")
    if (to.resume or to.overwrite) and to.out is None:
        raise BadRequest(f"--{'resume' if to.resume else 'overwrite'}: expected --out FILE beside it, got stdout")
    if coco_truth is not None and format_ != "coco":
        raise BadRequest(f"--coco-truth: expected --format coco, got {format_}")
    if to.out is not None:
        expect_free(to.out, resume=to.resume, overwrite=to.overwrite)


def _sources(job: Job, inputs: Inputs, which: str | None) -> list[Source]:
    """The images of this process; tells what the inputs hold besides, and which image files bear other names."""
    from foveal.batch.image_files import renamed
    from foveal.batch.sources import distinct, shard
    from foveal.terminal import say

    if note := inputs.note():
        say(note)
    sources = inputs.sources
    if job.images:
        sources = distinct(inputs.sources)  # of all shards together: they may share a folder
        if others := renamed(inputs.sources, sources):
            say(f"{len(others)} image files bear other names than their images; the first: {others[0]}")
    return sources if which is None else shard(sources, which)


def _package(model: str, zoo: Path | None, batch_size: int) -> ModelPackage:
    from foveal.errors import BadRequest
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    package = ModelPackage.open(locate(model, zoo))
    largest = package.manifest.pipeline.max_batch
    if batch_size > largest:
        raise BadRequest(f"--batch-size: expected at most {largest}, got {batch_size}")
    return package


def _run(job: Job, inputs: Inputs, sources: Sequence[Source], run: Engine, to: _Output) -> None:
    """Do the work and say what it came to; exit code 1 when images failed."""
    from foveal.batch.output import Interrupted, to_file, to_stream, write_summary
    from foveal.batch.summary import Summary
    from foveal.terminal import say

    start, skipped = perf_counter(), 0
    try:
        if to.out is None:
            tally = to_stream(job, sources, run, sys.stdout.buffer)
        else:
            tally, skipped = to_file(job, sources, run, to.out, resume=to.resume, overwrite=to.overwrite)
    except Interrupted as stopped:
        say(f"interrupted: {stopped}")
        raise typer.Exit(130) from None
    summary = Summary(job.package.manifest.task, tally, skipped, perf_counter() - start, inputs.passed_over)
    for line in summary.lines():
        say(line)
    if to.summary is not None:
        write_summary(to.summary, summary)
    if tally.failed:
        raise typer.Exit(1)


def _options(package: ModelPackage, raw: Mapping[str, str | None]) -> Options:
    from foveal.options import Options
    from foveal.tasks import task_of

    spec = package.manifest.pipeline
    given = {name: text for name, text in raw.items() if text is not None}
    applicable = task_of(spec.task).option_names
    return Options.parse(given, applicable=applicable, labels=spec.labels).resolved(spec.defaults)


def _engine(job: Job, name: str, ray_address: str | None, workers: int | None) -> Engine:
    """Where the images are worked on; a fault of the session shows here, before anything is written."""
    from foveal.errors import BadRequest, UnknownName

    if name == "ray":
        from foveal.batch import cluster

        return partial(cluster.run, job, address=ray_address or "auto", workers=workers)
    if name != "local":
        raise UnknownName.among("engine", name, ("local", "ray"))
    if ray_address is not None or workers is not None:
        raise BadRequest("--ray-address, --workers: expected --engine ray beside them")
    return partial(job.pieces, job.predictor())
