"""`foveal models`: the models of the zoo."""

import json
from typing import Annotated

import typer

from foveal.commands.parameters import Zoo


def models(
    zoo: Zoo = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """List the models of the zoo: verified packages only, each with its task, input and measured quality."""
    from rich.console import Console
    from rich.table import Table

    from foveal.packages.zoo import open_all

    packages = open_all(zoo)
    if as_json:
        rows = [{**p.manifest.model_dump(mode="json"), "digest": p.digest, "path": str(p.path)} for p in packages]
        typer.echo(json.dumps(rows))
        return
    table = Table("model", "task", "architecture", "model_input", "labels", "test images", "metrics")
    for package in packages:
        manifest = package.manifest
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(manifest.metrics.values.items())[:3])
        height, width = manifest.preprocess.input_hw
        table.add_row(
            package.ref,
            manifest.task,
            manifest.architecture,
            f"{height}x{width}",
            str(len(manifest.labels)),
            str(manifest.metrics.images),
            shown,
        )
    Console(width=None if typer.get_text_stream("stdout").isatty() else 160).print(table)
