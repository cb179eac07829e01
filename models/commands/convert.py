"""`foveal data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data set; its layout is found out.")],
    to: Annotated[str, typer.Option(help="coco | yolo | voc | masks | folders")],
    out: Annotated[Path, typer.Option(help="Folder to make; it may exist when it is empty.")],
    task: Annotated[str | None, typer.Option(help="Read it for this task; by default the first that fits.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard links instead of copies of the images.")] = False,
) -> None:
    """Write a data set in another layout, splits kept. Says what the layout cannot hold."""
    from foveal.models.convert.convert import convert_data
    from foveal.progress import track

    done = convert_data(
        data, to, out, task=task, link=link, track=lambda items, total: track(items, total=total, what="convert")
    )
    splits = ", ".join(f"{split} {count}" for split, count in done.splits.items()) or "no splits stated"
    typer.echo(f"{out}: {done.images} images from {done.source} to {to}; {splits}")
    for line in done.lost:
        typer.echo(f"lost: {line}")
