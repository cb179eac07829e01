"""`foveal data anchors`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from typing import Any

    from foveal.models.data.dataset import DataSet
    from foveal.models.diagnose.anchor_trial import Candidate


def anchors(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="A detection data set.")],
    task: Annotated[str | None, typer.Option(help="Of the recipe; default: object-detection.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML file with some of the recipe's fields.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")] = None,
    image: Annotated[Path | None, typer.Option(help="PNG to draw: objects green, best anchors red.")] = None,
    trial: Annotated[Path | None, typer.Option(help="Folder for short runs: which anchors train better?")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Length of a short run.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Short runs with each kind of anchors.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Measure how a recipe's anchors fit a data set, and how tuned ones would; with --trial, train both for a while.

    Exit code 1: in the runs tuned anchors were no better.
    """
    from foveal.models.detection.anchor_fit import as_text
    from foveal.models.detection.recipe import DetectionRecipe
    from foveal.models.diagnose.anchor_trial import candidates, compare, in_words
    from foveal.models.readers import reader_of

    resolved = (reader_of(task).recipe_type if task else DetectionRecipe).load(recipe, set_ or [])
    if not isinstance(resolved, DetectionRecipe):
        raise typer.BadParameter(f"--task: expected a task whose networks have anchors, got {task}")
    dataset = reader_of(resolved.task).load(data, resolved)
    pair = candidates(resolved, dataset)
    names = ("now", "tuned")
    if image is not None:
        _draw(image, dataset, pair[0])
    if not as_json:
        for name, one in zip(names, pair, strict=True):
            typer.echo(f"{name}: {one.as_set()}\n{as_text(one.fit)}\n")
    report: dict[str, Any] = {name: one.report() for name, one in zip(names, pair, strict=True)}
    accepted = True
    if trial is not None:
        verdict = compare(pair, data, trial, epochs=epochs, seeds=seeds, log=_log)
        accepted = verdict.accepted
        report["trial"] = {"metric": verdict.metric, "now": verdict.now, "tuned": verdict.tuned, "accepted": accepted}
        if not as_json:
            typer.echo(in_words(verdict))
    if as_json:
        typer.echo(json.dumps(report))
    if not accepted:
        raise typer.Exit(1)


def _draw(path: Path, dataset: DataSet[Any], candidate: Candidate) -> None:
    """The training image with the most objects, and the anchors that fit them best."""
    import cv2

    from foveal.errors import BadOutput
    from foveal.models.detection.anchor_fit import draw_anchors
    from foveal.models.diagnose.anchor_trial import shapes_of
    from foveal.models.tasks import trainer_of

    sample = max(dataset.splits.train, key=lambda one: len(one.truth))
    preprocess = trainer_of(candidate.recipe.task).preprocess(candidate.recipe)
    drawn = draw_anchors(sample, preprocess, shapes_of(candidate.recipe))
    written, png = cv2.imencode(".png", drawn[:, :, ::-1])
    assert written
    try:
        path.write_bytes(png.tobytes())
    except OSError as error:
        raise BadOutput(f"{path}: cannot be written: {error.strerror}") from None


def _log(line: str) -> None:
    typer.echo(line, err=True)
