"""`foveal data check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="COCO JSON, Pascal VOC, YOLO txt or instance-id maps.")],
    names: Annotated[int, typer.Option(min=1, help="File names listed for each kind of finding.")] = 5,
) -> None:
    """Look through a detection data set before training: exit code 0 clean, 1 findings, 2 cannot be read."""
    from foveal.models.detection.check import check as look
    from foveal.models.detection.check import summary
    from foveal.models.detection.data import read_objects

    reading = read_objects(data)
    counts = f"{len(reading.samples)} pictures, {sum(len(sample.truth) for sample in reading.samples)} objects"
    typer.echo(f"{data}: {reading.layout}, {counts}, labels {', '.join(reading.labels)}")
    findings = look(reading)
    if findings:
        typer.echo(summary(findings, names=names))
        raise typer.Exit(1)
    typer.echo("clean")
