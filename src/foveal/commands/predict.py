"""`foveal predict`: batch inference over files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foveal.batch.job import Job, Piece
    from foveal.batch.sources import Source
    from foveal.batch.tally import Tally
    from foveal.formats import Framed
    from foveal.options import Options
    from foveal.packages.package import ModelPackage

    Engine = Callable[[Sequence[Source]], Iterator[Piece]]


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, folders, globs, .tar, @LIST or - (stdin).")
    ],
    model: Annotated[str, typer.Option(help="NAME, NAME@VERSION or a package folder.")],
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
    format_: Annotated[str, typer.Option("--format", help="jsonl | csv | coco | parquet")] = "jsonl",
    out: Annotated[Path | None, typer.Option(help="Write here instead of stdout.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Folder for annotated images (JPEG).")] = None,
    maps: Annotated[Path | None, typer.Option(help="Folder for PNGs of instance or class ids.")] = None,
    coco_truth: Annotated[Path | None, typer.Option(help="Format coco: a data set whose ids to use.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue --out after a kill; nothing lost or doubled.")] = False,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only every N-th image, from the I-th.")] = None,
    fail_fast: Annotated[bool, typer.Option(help="Stop at the first image that fails.")] = False,
    top_k: Annotated[str | None, typer.Option(help="Classification: number of classes, best first.")] = None,
    score_threshold: Annotated[
        str | None, typer.Option(help="Keep detections with a score strictly greater, 0..1.")
    ] = None,
    iou_threshold: Annotated[str | None, typer.Option(help="NMS overlap, 0..1.")] = None,
    max_detections: Annotated[str | None, typer.Option(help="At most so many detections, 1..300.")] = None,
    classes: Annotated[str | None, typer.Option(help="Comma list: only these labels.")] = None,
    mask_format: Annotated[str | None, typer.Option(help="rle | polygon | png | none")] = None,
    tile: Annotated[str | None, typer.Option(help="Class maps: windows of so many px, for large images.")] = None,
    provider: Annotated[str, typer.Option(help="cpu | cuda | tensorrt | openvino")] = "cpu",
    batch_size: Annotated[
        int, typer.Option(min=1, help="ImageFiles a run of the session takes; 1 is best on CPU.")
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, max=64, help="Runs side by side; default one a core, at most 8.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local | ray: here, or shared out over a Ray cluster.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT, auto (RAY_ADDRESS or this machine's Ray) or local (start one).")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Ray: how many; default one a processor.")] = None,
) -> None:
    """Run a model over files, folders, globs, tar archives and lists of names.

    One entry an image, in input order; a file that cannot be read gives an error line and exit code 1 at the end.
    """
    from foveal.batch.image_files import ImageFiles
    from foveal.batch.job import Job
    from foveal.batch.local import default_threads
    from foveal.batch.sources import expand
    from foveal.batch.sources import shard as take_shard
    from foveal.errors import BadRequest, UnknownName
    from foveal.formats import FORMATS
    from foveal.formats.coco import CocoIds
    from foveal.inference.session import SessionSettings
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    if format_ not in FORMATS:
        raise UnknownName.among("format", format_, FORMATS)
    if resume and out is None:
        raise BadRequest("--resume: expected --out FILE beside it; stdout cannot be continued")
    if coco_truth is not None and format_ != "coco":
        raise BadRequest(f"--coco-truth: expected --format coco, got {format_}")
    sources = expand(paths) if shard is None else take_shard(expand(paths), shard)
    settings = SessionSettings(provider=provider)
    package = ModelPackage.open(locate(model, zoo))
    if batch_size > package.manifest.pipeline.max_batch:
        raise BadRequest(f"--batch-size: expected at most {package.manifest.pipeline.max_batch}, got {batch_size}")
    raw = {
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
        _options(package, raw),
        settings,
        format=format_,
        coco_ids=None if coco_truth is None else CocoIds.read(coco_truth),
        images=ImageFiles(overlay, maps),
        batch_size=batch_size,
        threads=threads or default_threads(),
        fail_fast=fail_fast,
    )
    job.images.check(package.manifest.task)
    run = _engine(job, engine, ray_address, workers)
    start = perf_counter()
    tally, skipped = _to_stdout(job, sources, run) if out is None else to_file(job, sources, run, out, resume=resume)
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


def _to_stdout(job: Job, sources: Sequence[Source], run: Engine) -> tuple[Tally, int]:
    """As `to_file`, on stdout."""
    from foveal.batch.tally import Tally
    from foveal.formats import Framed

    writer, stream, tally = job.writer(), sys.stdout.buffer, Tally()
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
    return tally, 0


def to_file(job: Job, sources: Sequence[Source], run: Engine, out: Path, *, resume: bool) -> tuple[Tally, int]:
    """Write a file that can be resumed after a kill.

    Returns:
        What all of it came to, also what was there before a resume; and how many images that was.
    """
    from foveal.batch.journal import JournaledFile
    from foveal.formats import Framed

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
    from foveal.progress import track

    return track(run(sources), total=len(sources), what="predict", size=lambda piece: piece.tally.images)


def _assemble(writer: Framed, lines: Path, out: Path) -> None:
    """The finished file appears at once or not at all."""
    temporary = out.with_name(out.name + ".tmp")
    with lines.open("rb") as read, temporary.open("wb") as written:
        writer.assemble(read, written)
    os.replace(temporary, out)


def _summary(job: Job, tally: Tally, skipped: int, seconds: float) -> Iterator[str]:
    """Lines for people: how many, how fast, what failed, what was found."""
    from foveal.tasks import task_of

    done = tally.images - skipped
    words = f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s"
    yield words + (f"; {skipped} were there already" if skipped else "")
    if tally.found:
        what, total = task_of(job.package.manifest.task).summary_title, sum(tally.found.values())
        ranked = sorted(tally.found.items(), key=lambda item: (-item[1], item[0]))
        shares = (f"{label} {f'{n:,}' if isinstance(n, int) else f'{n / total:.1%}'}" for label, n in ranked)
        yield f"{what}: {', '.join(shares)}"
    if tally.failed:
        yield f"{tally.failed} of {tally.images} images failed; the first: {tally.first_failure}"
