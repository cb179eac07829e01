"""`foveal data view`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def view(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data set; its layout is found out.")],
    task: Annotated[str, typer.Option(help="classification, object-detection, …")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file, or small, medium or large.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")] = None,
    count: Annotated[int, typer.Option(min=1, max=120, help="Images on each contact sheet.")] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as one JSON object.")] = False,
) -> None:
    """Draw a data set's images with their truth, with and without augmentation; count classes, sizes and colours."""
    from foveal.models.readers import reader_of
    from foveal.models.view.sheets import view as write_sheets

    figures = write_sheets(reader_of(task).recipe_type.load(recipe, set_ or []), data, out, count=count)
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for note in figures["notes"]:
        typer.echo(note)
    for name in ("mean_rgb", "std_rgb", "principal_spread"):
        typer.echo(f"{name}: {', '.join(f'{value:.3f}' for value in figures[name])}")
    for name in ("height_px", "width_px"):
        typer.echo(f"{name}: {', '.join(f'{what} {px}' for what, px in figures[name].items())}")
    for label, sides in figures.get("object_px", {}).items():
        typer.echo(f"{label}, side_px: {', '.join(f'{what} {px}' for what, px in sides.items())}")
    typer.echo(f"{out}: samples.png, augmented.png, histograms.png, view.json")
