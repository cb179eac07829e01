"""`foveal models`: the models of the zoo."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.commands.parameters import Zoo

if TYPE_CHECKING:
    from foveal.packages.package import ModelPackage


def models(
    zoo: Zoo = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """List the models of the zoo: verified packages only, each with its task, input and measured quality.

    Exits with 1 if a package is not valid; each is named on stderr.
    """
    from foveal.packages.zoo import open_each

    packages, failed = open_each(zoo)
    if as_json:
        rows = [{**p.manifest.model_dump(mode="json"), "digest": p.digest, "path": str(p.path)} for p in packages]
        typer.echo(json.dumps(rows))
    else:
        _print_table(packages)
    for ref, reason in failed.items():
        typer.echo(f"{ref} is not valid: {reason}", err=True)
    if failed:
        raise typer.Exit(1)


def _print_table(packages: "list[ModelPackage]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "task", "architecture", "model_input", "labels", "test images", "metrics")
    for package in packages:
        manifest = package.manifest
        figures = list(manifest.metrics.values.items())[:3] if manifest.metrics else []
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures)
        if manifest.imported and not figures:
            shown = f"imported, {'proved' if manifest.imported.reference else 'unproved'}"
        height, width = manifest.preprocess.input_hw
        table.add_row(
            package.ref,
            manifest.task,
            manifest.architecture,
            f"{height}x{width}",
            str(len(manifest.labels)),
            str(manifest.metrics.images) if manifest.metrics else "-",
            shown,
        )
    Console(width=None if typer.get_text_stream("stdout").isatty() else 160).print(table)
