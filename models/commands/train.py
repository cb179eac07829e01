"""`foveal train`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from typing import Any

    from foveal.models.recipe import Recipe

INTERRUPTED = 130  # exit code of a shell's commands after Ctrl-C
Weights = Annotated[str | None, typer.Option(help="imagenet, none, or a state_dict file.")]
From = Annotated[
    Path | None,
    typer.Option("--from", help="Start from the backbone of an earlier run, of any task; sets weights."),
]


def train(
    task: Annotated[str | None, typer.Option(help="classification, object-detection, …")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set; the layout is found out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make; an interrupted run in it goes on.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run; all the rest is known from it.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file with some of the recipe's fields, or small, medium or large.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")] = None,
    weights: Weights = None,
    from_: From = None,
    group_by: Annotated[
        str | None, typer.Option(help="Pattern of the file name: related photos stay together.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="CSV with the columns name,split.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare images; never changes the result.")] = 0,
) -> None:
    """Fine-tune a network on your images. Prints the best epoch's metrics; progress goes to stderr.

    Needs --task, --data and --out, or --resume. After Ctrl-C a run keeps its whole epochs and goes on with --resume;
    a finished run goes on for more epochs with --resume RUN --set epochs=N.
    """
    from foveal.models.readers import reader_of
    from foveal.models.runs import interrupted

    if resume is not None:
        fixed = {"--task": task, "--data": data, "--out": out, "--recipe": recipe, "--weights": weights}
        fixed |= {"--from": from_, "--group-by": group_by, "--split": split}
        if given := [name for name, value in fixed.items() if value]:
            raise typer.BadParameter(f"--resume: expected no {', '.join(given)} with it, since the run has its own")
        if other := [line for line in set_ or [] if line.partition("=")[0].strip() != "epochs"]:
            raise typer.BadParameter(f"--resume: expected no --set but epochs with it, got {other[0]!r}")
        resolved, root = interrupted(resume, set_ or [])
        _run(resolved, root, resume, workers)
        return
    if task is None or data is None or out is None:
        missing = [f"--{name}" for name, value in (("task", task), ("data", data), ("out", out)) if value is None]
        raise typer.BadParameter(f"expected {', '.join(missing)}, or --resume RUN")
    overrides = [*(set_ or []), *start_overrides(weights, from_)]
    named = {"group_by": group_by, "split_file": split}
    overrides += [f"{name}={json.dumps(str(value))}" for name, value in named.items() if value is not None]
    _run(reader_of(task).recipe_type.load(recipe, overrides), data, out, workers)


def start_overrides(weights: str | None, run: Path | None) -> list[str]:
    """`--weights` and `--from` as a recipe's override.

    Raises:
        BadParameter: both. BadCheckpoint: no run folder.
    """
    from foveal.models.training.run_folder import read_info

    if run is not None:
        if weights is not None:
            raise typer.BadParameter(f"expected --from or --weights, got both ({run}, {weights})")
        read_info(run)  # raises unless it is a run folder
    start = run or weights
    return [] if start is None else [f"weights={json.dumps(str(start))}"]


def _run(recipe: Recipe, data: Path, out: Path, workers: int) -> None:
    from foveal.models.runs import train as run_training

    with _resumable(out, recipe):
        result = run_training(
            recipe, data, out, workers=workers, log=lambda line: typer.echo(line, err=True), progress=True
        )
    for name in ("val", "test"):
        if name in result:
            typer.echo(f"{name}: {scores_line(result[name])}")
    typer.echo(f"{out}: best epoch {result['best_epoch']}, {result['seconds']} s")


def scores_line(scores: dict[str, Any]) -> str:
    """A split's figures: `38 images  accuracy 0.9474  macro_f1 0.9471`."""
    figures = "  ".join(f"{name} {value:.4f}" for name, value in scores.items() if name != "images")
    return f"{scores['images']} images  {figures}"


@contextmanager
def _resumable(out: Path, recipe: Recipe) -> Iterator[None]:
    """Ctrl-C ends with what was saved and the command that goes on."""
    from foveal.models.tasks import trainer_of
    from foveal.models.training.run_folder import RunFolder

    try:
        yield
    except KeyboardInterrupt:
        folder = RunFolder(out)
        if not (out / "run.json").exists():
            typer.echo("interrupted before the first epoch; nothing was saved", err=True)
        else:
            saved = folder.where_it_goes_on(recipe.epochs, trainer_of(recipe.task).best_metric)
            typer.echo(f"interrupted; {saved}\nto go on: foveal train --resume {out}", err=True)
        raise typer.Exit(INTERRUPTED) from None
