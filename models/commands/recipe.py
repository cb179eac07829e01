"""`foveal recipe show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def show(
    task: Annotated[str | None, typer.Option(help="Default: classification.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A TOML file, or a preset: small, medium or large (data sets).")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print the resolved recipe: every field with what it means, its default and the value a training would use.

    A recipe that no network can be built of is refused.
    """
    from foveal.models.readers import reader_of
    from foveal.models.tasks import TRAINERS, check_buildable

    resolved = reader_of(task or next(iter(TRAINERS))).recipe_type.load(recipe, set_ or [])
    check_buildable(resolved)
    if json_:
        typer.echo(json.dumps(resolved.model_dump(mode="json")))
        return
    typer.echo(resolved.to_toml(), nl=False)
    if resolved.lr_scaling != "none":
        head, backbone = (rate * resolved.lr_scale for rate in (resolved.lr_head, resolved.lr_backbone))
        typer.echo(
            f"peak rates by the {resolved.lr_scaling} rule: lr_head {head:g}, lr_backbone {backbone:g}", err=True
        )
