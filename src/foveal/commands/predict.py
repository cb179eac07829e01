"""`foveal predict`: batch inference over files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.commands.parameters import Provider, Zoo

if TYPE_CHECKING:
    from foveal.batch.job import Job
    from foveal.batch.output import Engine
    from foveal.batch.sources import Source
    from foveal.batch.tally import Tally
    from foveal.options import Options
    from foveal.packages.package import ModelPackage

Text = str | None  # options of a prediction come as text: foveal.options parses them, for HTTP and here
Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Files, folders, globs, .tar, @LIST or - (stdin).")]
Model = Annotated[str, typer.Option(help="NAME, NAME@VERSION or a package folder.")]
Format = Annotated[str, typer.Option("--format", help="jsonl | csv | coco | parquet")]
Out = Annotated[Path | None, typer.Option(help="Write here instead of stdout.")]
Overlay = Annotated[Path | None, typer.Option(help="Folder for annotated images (JPEG).")]
Maps = Annotated[Path | None, typer.Option(help="Folder for PNGs of instance or class ids.")]
CocoTruth = Annotated[Path | None, typer.Option(help="Format coco: a data set whose ids to use.")]
Resume = Annotated[bool, typer.Option(help="Continue --out after a kill; nothing lost or doubled.")]
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
    from foveal.batch.image_files import ImageFiles
    from foveal.batch.job import Job
    from foveal.batch.local import default_threads
    from foveal.formats.coco import CocoIds
    from foveal.inference.session import SessionSettings

    _check(format_, out, coco_truth, resume=resume)
    sources, package = _sources(paths, shard), _package(model, zoo, batch_size)
    given = {
        "top_k": top_k,
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "classes": classes,
        "mask_format": mask_format,
        "tile": tile,
    }
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
    _run(job, sources, _engine(job, engine, ray_address, workers), out, resume=resume)


def _check(format_: str, out: Path | None, coco_truth: Path | None, *, resume: bool) -> None:
    """Refuse flags that do not go together, before anything is opened."""
    from foveal.errors import BadRequest, UnknownName
    from foveal.formats import FORMATS

    if format_ not in FORMATS:
        raise UnknownName.among("format", format_, FORMATS)
    if resume and out is None:
        raise BadRequest("--resume: expected --out FILE beside it; stdout cannot be continued")
    if coco_truth is not None and format_ != "coco":
        raise BadRequest(f"--coco-truth: expected --format coco, got {format_}")


def _sources(paths: Sequence[str], which: str | None) -> list[Source]:
    from foveal.batch.sources import expand, shard

    return expand(paths) if which is None else shard(expand(paths), which)


def _package(model: str, zoo: Path | None, batch_size: int) -> ModelPackage:
    from foveal.errors import BadRequest
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    package = ModelPackage.open(locate(model, zoo))
    largest = package.manifest.pipeline.max_batch
    if batch_size > largest:
        raise BadRequest(f"--batch-size: expected at most {largest}, got {batch_size}")
    return package


def _run(job: Job, sources: Sequence[Source], run: Engine, out: Path | None, *, resume: bool) -> None:
    """Do the work and say what it came to; exit code 1 when images failed."""
    from foveal.batch.output import to_file, to_stream

    job.images.check(job.package.manifest.task)
    start = perf_counter()
    if out is None:
        tally, skipped = to_stream(job, sources, run, sys.stdout.buffer), 0
    else:
        tally, skipped = to_file(job, sources, run, out, resume=resume)
    for line in _summary(job, tally, skipped, perf_counter() - start):
        typer.echo(f"foveal: {line}", err=True)
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


def _summary(job: Job, tally: Tally, skipped: int, seconds: float) -> Iterator[str]:
    """Lines for people: how many, how fast, what failed, what was found."""
    from foveal.tasks import task_of

    done = tally.images - skipped
    words = f"{done} image{'' if done == 1 else 's'} in {seconds:.1f} s, {done / seconds:.1f} images/s"
    yield words + (f"; {skipped} were there already" if skipped else "")
    if tally.found:
        what, total = task_of(job.package.manifest.task).summary_title, sum(tally.found.values())
        ranked = sorted(tally.found.items(), key=lambda item: (-item[1], item[0]))
        shares = (f"{label} {f'{n:,}' if isinstance(n, int) else f'{n / total:.1%}'}" for label, n in ranked)
        yield f"{what}: {', '.join(shares)}"
    if tally.failed:
        yield f"{tally.failed} of {tally.images} images failed; the first: {tally.first_failure}"
