"""`foveal diagnose` and `foveal tune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from foveal.models.commands.train import From, Weights, start_overrides

Task = Annotated[str, typer.Option(help="classification, object-detection, …")]
Data = Annotated[Path, typer.Option(help="Folder of the data set; the layout is found out.")]
RecipeFile = Annotated[Path | None, typer.Option(help="TOML file, or small, medium or large.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def diagnose(
    task: Task,
    data: Data,
    recipe: RecipeFile = None,
    set_: Set = None,
    weights: Weights = None,
    from_: From = None,
    out: Annotated[Path, typer.Option(help="The report, one HTML file.")] = Path("diagnosis.html"),
    epochs: Annotated[int, typer.Option(min=1, help="Of the short training of step 6.")] = 6,
    trials: Annotated[int, typer.Option(min=0, help="Of steps 4 and 5, one epoch each; 0 leaves them out.")] = 6,
    optimal_error: Annotated[float, typer.Option(min=0, max=1, help="Lowest possible error, 0 of bias.")] = 0.0,
    json_: Json = False,
) -> None:
    """Check a training in six steps before it becomes a long one. Exit code 0 healthy, 1 faults found."""
    from foveal.models.diagnose.diagnosis import diagnose as run_steps
    from foveal.models.diagnose.report import to_html
    from foveal.models.diagnose.search import Plan

    resolved = _recipe(task, recipe, [*(set_ or []), *start_overrides(weights, from_), f"epochs={epochs}"])
    plan = Plan(coarse=trials - trials // 3, fine=trials // 3, epochs=1)
    found = run_steps(resolved, data, plan, optimal_error=optimal_error, log=lambda line: typer.echo(line, err=True))
    out.write_text(to_html(found))
    typer.echo(json.dumps(found.to_json()) if json_ else f"{out}: {'healthy' if found.healthy else 'faults found'}")
    if not found.healthy:
        raise typer.Exit(1)


def tune(
    task: Task,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for best.toml and the trials; an interrupted search goes on.")],
    recipe: RecipeFile = None,
    set_: Set = None,
    weights: Weights = None,
    from_: From = None,
    coarse: Annotated[int, typer.Option(min=1, help="Random trials, on log scales.")] = 12,
    fine: Annotated[int, typer.Option(min=0, help="Trials around the winners.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, help="Of a trial.")] = 2,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time, each in a process of its own.")] = 1,
    json_: Json = False,
) -> None:
    """Search learning rates and weight decay, and write the best recipe."""
    from foveal.models.diagnose.search import Plan
    from foveal.models.diagnose.tuning import tune as run_search

    plan = Plan(coarse=coarse, fine=fine, epochs=epochs, jobs=jobs)
    resolved = _recipe(task, recipe, [*(set_ or []), *start_overrides(weights, from_)])
    best = run_search(resolved, data, out, plan, log=lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(best) if json_ else f"{out / 'best.toml'}: {_in_words(best)}")


def _in_words(best: dict[str, Any]) -> str:
    """`accuracy 0.9474 with lr_head 0.002, …, the best of 20 trials`."""
    from foveal.models.diagnose.search import formatted

    rest = {name: value for name, value in best.items() if name not in ("fields", "phase", "trials")}
    metric, value = next(iter(rest.items()))
    return f"{metric} {value:.4f} with {formatted(best['fields'])}, the best of {best['trials']} trials"


def _recipe(task: str, recipe: Path | None, overrides: list[str]) -> Any:
    from foveal.models.readers import reader_of

    return reader_of(task).recipe_type.load(recipe, overrides)
