"""`foveal data synth`: a drawn data set with exact ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synth(
    task: Annotated[str, typer.Option(help="classification | semantic-segmentation | object-detection | instance-…")],
    style: Annotated[str, typer.Option(help="aerial | blood | nuclei | shapes")],
    out: Annotated[Path, typer.Option(help="Folder to make; must not exist.")],
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Number of images.")] = 100,
    layout: Annotated[
        str | None, typer.Option(help="folders, split-folders | coco, voc, yolo | idmaps | masks")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other images.")] = 0,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Image size; 128x128 or 240x320 by task.")] = None,
) -> None:
    """Draw a data set with exact ground truth: classes, boxes, masks and class maps to the pixel.

    The same seed draws the same images; image i does not depend on --count.
    """
    from foveal.progress import track
    from foveal.synth.write import Order, write_data_set

    order = Order(task, style, layout, count, seed, _size(size) if size else None)
    written = write_data_set(order, out, track=lambda drawn: track(drawn, total=count, what="draw"))
    typer.echo(f"{out}: {count} images of style {style} for {task}, layout {written}, seed {seed}")


def _size(text: str) -> tuple[int, int]:
    from foveal.errors import BadRequest

    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise BadRequest(f"--size: expected HEIGHTxWIDTH in pixels, got {text!r}")
    return int(height), int(width)
