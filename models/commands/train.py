"""`foveal train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def train(
    task: Annotated[str, typer.Option(help="classification, object-detection, …")],
    data: Annotated[Path, typer.Option(help="Folder of the data set; the layout is found out.")],
    out: Annotated[Path, typer.Option(help="Run folder to make; an interrupted run in it goes on.")],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file with some of the recipe's fields, or small, medium or large.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, none, or a state_dict file.")] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Start from the backbone of an earlier run, of any task; sets weights."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Pattern of the file name: related photos stay together.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="CSV with the columns name,split.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare images; never changes the result.")] = 0,
) -> None:
    """Fine-tune a network on your images. Prints the best epoch's metrics; progress goes to stderr."""
    from foveal.models.readers import reader_of
    from foveal.models.runs import train as run_training
    from foveal.models.training.run_folder import read_info

    if from_ is not None:
        if weights is not None:
            raise typer.BadParameter(f"expected --from or --weights, got both ({from_}, {weights})")
        read_info(from_)  # raises unless it is a run folder
    shorthands = {"weights": from_ or weights, "group_by": group_by, "split_file": split}
    overrides = [
        *(set_ or []),
        *(f"{name}={json.dumps(str(value))}" for name, value in shorthands.items() if value is not None),
    ]
    resolved = reader_of(task).recipe_type.load(recipe, overrides)
    result = run_training(resolved, data, out, workers=workers, log=lambda line: typer.echo(line, err=True))
    for name in ("val", "test"):
        if name in result:
            metrics = "  ".join(f"{k} {v:.4f}" for k, v in result[name].items() if k != "images")
            typer.echo(f"{name}: {result[name]['images']} images  {metrics}")
    typer.echo(f"{out}: best epoch {result['best_epoch']}, {result['seconds']} s")
