"""`foveal verify`: verification of a package, as far as that goes without torch."""

from __future__ import annotations

from pathlib import Path

import typer

from foveal.commands.parameters import PackageName, Provider, Zoo


def verify(
    package: PackageName,
    zoo: Zoo = None,
    provider: Provider = "cpu",
) -> None:
    """Prove a package again: every file's sha256, the manifest, the graph, batches and golden results.

    One line a check; exits 0 when all hold and 1 with the first that does not.
    """
    from foveal.errors import BadPackage
    from foveal.inference.pipeline import Predictor
    from foveal.inference.session import SessionSettings
    from foveal.inference.verify import check_batches, check_golden, check_graph
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    try:
        opened = ModelPackage.open(package if Path(package).is_dir() else locate(package, zoo))
        typer.echo(f"ok  files: every sha256 as listed, manifest valid; {opened.ref} {opened.digest}")
        predictor = Predictor(opened, SessionSettings(provider=provider))
        check_graph(predictor)
        typer.echo(f"ok  graph: loads on {predictor.provider}; inputs and outputs are the manifest's")
        check_batches(predictor)
        typer.echo(f"ok  batches: N = 2 and N = {opened.manifest.pipeline.max_batch} give what single calls give")
        check_golden(predictor)
        typer.echo(f"ok  golden: {len(opened.proofs)} of {len(opened.proofs)} results reproduced")
    except BadPackage as error:
        typer.echo(f"foveal: {error.title}: {error}", err=True)
        raise typer.Exit(1) from None
