"""`foveal data check`."""

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
    """Check a data set before training: exit code 0 clean, 1 findings, 2 cannot be read."""
    from foveal.models.readers import check_data

    found = check_data(data, names=names)
    typer.echo(f"{data}: {found.summary}")
    for line in found.findings or ("clean",):
        typer.echo(line)
    if found.findings:
        raise typer.Exit(1)
