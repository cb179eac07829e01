"""`foveal data check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data set; its layout is found out.")],
    task: Annotated[
        str | None, typer.Option(help="Read it for this task; by default for the first that has such a layout.")
    ] = None,
    names: Annotated[int, typer.Option(min=1, help="File names listed for each kind of finding.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="All findings as one JSON object.")] = False,
) -> None:
    """Check a data set before training: exit code 0 clean, 1 findings, 2 cannot be read."""
    from foveal.models.readers import check_data
    from foveal.models.reading.findings import KINDS

    found = check_data(data, names=names, task=task)
    if as_json:
        findings = [
            {"kind": one.kind, "name": one.name, "detail": one.detail, "stops": KINDS[one.kind].stops}
            for one in found.found
        ]
        about = {"task": found.task, "layout": found.layout, "summary": found.summary, "notes": found.notes}
        typer.echo(json.dumps({**about, "findings": findings}, ensure_ascii=False))
    else:
        typer.echo(f"{data}, {found.task}: {found.summary}")
        for line in found.findings or ("clean",):
            typer.echo(line)
    if found.findings:
        raise typer.Exit(1)
