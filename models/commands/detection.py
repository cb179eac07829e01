"""`foveal data check` of detection data sets, and `foveal data anchors`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from typing import Any

    from foveal.models.data.dataset import DataSet
    from foveal.models.detection.anchor_trial import Candidate


def check(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="COCO JSON, Pascal VOC, YOLO txt or instance-id maps.")],
    names: Annotated[int, typer.Option(min=1, help="File names listed for each kind of finding.")] = 5,
) -> None:
    """Look through a detection data set before training: exit code 0 clean, 1 findings, 2 cannot be read."""
    from foveal.models.detection.layouts.check import check as look
    from foveal.models.detection.layouts.check import summary
    from foveal.models.detection.layouts.read import read_objects

    reading = read_objects(data)
    counts = f"{len(reading.samples)} images, {sum(len(sample.truth) for sample in reading.samples)} objects"
    typer.echo(f"{data}: {reading.layout}, {counts}, labels {', '.join(reading.labels)}")
    findings = look(reading)
    if findings:
        typer.echo(summary(findings, names=names))
        raise typer.Exit(1)
    typer.echo("clean")


def anchors(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="A detection data set.")],
    task: Annotated[str, typer.Option(help="object-detection | instance-segmentation")] = "object-detection",
    recipe: Annotated[Path | None, typer.Option(help="TOML file with some of the recipe's fields.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value; wins over the recipe file.")] = None,
    image: Annotated[Path | None, typer.Option(help="PNG to draw: objects green, best anchors red.")] = None,
    trial: Annotated[Path | None, typer.Option(help="Folder for short runs: which anchors train better?")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Length of a short run.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Short runs with each kind of anchors.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Say how a recipe's anchors fit a data set, and how tuned ones would; with --trial, let short runs decide.

    Exit code 1: the runs say that tuned anchors are no better.
    """
    from foveal.models.detection.anchor_report import as_text
    from foveal.models.detection.anchor_trial import candidates, compare, in_words
    from foveal.models.tasks import trainer_of

    trainer = trainer_of(task)
    resolved = trainer.recipe_type.load(recipe, set_ or [])
    dataset = trainer.load_data(data, resolved)
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
    from foveal.models.detection.anchor_report import image
    from foveal.models.detection.anchor_trial import shapes_of
    from foveal.models.tasks import trainer_of

    sample = max(dataset.splits.train, key=lambda one: len(one.truth))
    preprocess = trainer_of(candidate.recipe.task).preprocess(candidate.recipe)
    drawn = image(sample, preprocess, shapes_of(candidate.recipe))
    written, png = cv2.imencode(".png", drawn[:, :, ::-1])
    assert written
    try:
        path.write_bytes(png.tobytes())
    except OSError as error:
        raise BadOutput(f"{path}: cannot be written: {error.strerror}") from None


def _log(line: str) -> None:
    typer.echo(line, err=True)
