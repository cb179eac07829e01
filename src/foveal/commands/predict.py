"""`foveal predict`: batch inference over files."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foveal.formats import Entry, Writer


def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Image files, folders or globs.")],
    model: Annotated[str, typer.Option(help="NAME, NAME@VERSION or a package folder.")],
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
    format_: Annotated[str, typer.Option("--format", help="jsonl | csv")] = "jsonl",
    out: Annotated[Path | None, typer.Option(help="Write here instead of stdout.")] = None,
    top_k: Annotated[str | None, typer.Option(help="Classification: number of classes, best first.")] = None,
    score_threshold: Annotated[str | None, typer.Option(help="Drop detections below, 0..1.")] = None,
    iou_threshold: Annotated[str | None, typer.Option(help="NMS overlap, 0..1.")] = None,
    max_detections: Annotated[str | None, typer.Option(help="At most so many detections, 1..300.")] = None,
    classes: Annotated[str | None, typer.Option(help="Comma list: only these labels.")] = None,
    mask_format: Annotated[str | None, typer.Option(help="rle | polygon | png | none")] = None,
    provider: Annotated[str, typer.Option(help="cpu | cuda | tensorrt | openvino")] = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures the session takes at a time; 1 is best on CPU.")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Files read and decoded at the same time.")] = 2,
) -> None:
    """Run a model over files, folders and globs.

    One line an image, in input order; a file that cannot be read gives an error line and exit code 1 at the end.
    """
    from foveal import load
    from foveal.batch import expand, run
    from foveal.errors import BadRequest, UnknownName
    from foveal.formats import FORMATS
    from foveal.options import Options
    from foveal.progress import track

    if format_ not in FORMATS:
        raise UnknownName.among("format", format_, FORMATS)
    names = expand(paths)
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
    }
    given = {name: text for name, text in raw.items() if text is not None}
    options = Options.parse(given, applicable=predictor.task.option_names, labels=predictor.manifest.labels)
    options = options.resolved(predictor.manifest)
    entries = run(predictor, names, options=options, batch_size=batch_size, threads=threads)
    failed = _write(
        track(entries, total=len(names), what="predict"), FORMATS[format_](predictor.manifest, options), out
    )
    if failed:
        typer.echo(f"foveal: {failed} of {len(names)} images failed; their lines say why", err=True)
        raise typer.Exit(1)


def _write(entries: Iterable[Entry], writer: Writer, out: Path | None) -> int:
    """Write every entry; returns how many failed."""
    failed = 0
    with out.open("wb") if out else nullcontext(sys.stdout.buffer) as stream:
        stream.write(writer.open())
        for entry in entries:
            stream.write(writer.write(entry))
            failed += entry.failed
        stream.write(writer.close())
        stream.flush()
    return failed
