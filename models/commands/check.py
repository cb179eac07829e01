"""`foveal data check`: the layout decides who looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[
        Path, typer.Argument(metavar="DIR", help="Class maps, COCO JSON, Pascal VOC, YOLO txt or instance-id maps.")
    ],
    names: Annotated[int, typer.Option(min=1, help="File names listed for each kind of finding.")] = 5,
) -> None:
    """Look through a data set before training: exit code 0 clean, 1 findings, 2 cannot be read."""
    from foveal.models.commands.detection import check as check_objects
    from foveal.models.segmentation.layouts import is_class_maps

    if is_class_maps(data):
        _check_class_maps(data)
    else:
        check_objects(data, names)


def _check_class_maps(data: Path) -> None:
    """Every fault is one file's, so all are listed."""
    from foveal.models.segmentation.layouts import check_class_maps, read_layout

    layout = read_layout(data)
    typer.echo(f"{data}: {layout.name}, {len(layout.samples)} images, classes {', '.join(layout.classes)}")
    faults = check_class_maps(data)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(1)
    typer.echo("clean")
