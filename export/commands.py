"""`foveal export` and `foveal evaluate`. Heavy imports stand inside the functions, so that `--help` stays instant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from typing import Any

    from foveal.models.data.dataset import DataSet
    from foveal.models.training.checkpoint import Checkpoint
    from foveal.options import OptionValues

EXAMPLE = typer.Option(
    "--example", metavar="IMAGE", help="Shown by the playground for this model, and in the package; several times."
)
ABOUT = typer.Option(help="What the model is for, in your words; goes on the card.")
DATA = typer.Option(help="The data set, in a layout that `foveal train` reads.")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `foveal train`.")],
    out: Annotated[Path, typer.Option(help="The package: zoo/NAME/VERSION; must not exist.")],
    data: Annotated[Path | None, typer.Option(help="The data set, when it moved since training.")] = None,
    split: Annotated[str, typer.Option(help="test | val: the held-out images that figures are measured on.")] = "test",
    about: Annotated[str, ABOUT] = "",
    example: Annotated[list[Path] | None, EXAMPLE] = None,
    max_batch: Annotated[int, typer.Option(min=1, max=64, help="Largest batch to prove and to allow.")] = 16,
) -> None:
    """Turn a trained run into a package: trace it to ONNX, prove the graph, score both on held-out images, write.

    When the graph or its metrics are not those of the trained model nothing is written, and the exit code is 1.
    """
    from foveal.export.build import build
    from foveal.export.evaluation.evaluate import select
    from foveal.export.writing import Target
    from foveal.models.runs import load_run

    target = Target.of(out)
    checkpoint = load_run(run)
    if split not in ("test", "val"):
        raise typer.BadParameter(f"--split: expected test or val, the held-out splits, got {split!r}")
    dataset = _data_of_training(run, checkpoint, data)
    held_out = select(dataset, split, checkpoint.labels)
    fields: dict[str, Any] = {"split": split, "about": about, "examples": example or (), "max_batch": max_batch}
    digest = build(checkpoint, held_out, target, val=dataset.splits.val, log=_log, **fields)
    typer.echo(f"{out} {digest}")


def ensemble(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE…", help="Two or more: NAME, NAME@VERSION, folder.")],
    data: Annotated[Path, typer.Option(help="The data set that they were trained with; its test split is scored.")],
    out: Annotated[Path, typer.Option(help="The package: zoo/NAME/VERSION; must not exist.")],
    split_file: Annotated[Path | None, typer.Option(help="CSV name,split that they were trained with.")] = None,
    about: Annotated[str, ABOUT] = "",
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
) -> None:
    """Make one package of several classifiers: its scores are the mean of theirs, temperatures included.

    They must have the same labels and the same way from image to model input, and must not have learnt from each
    other's test images. When the graph is not their mean nothing is written, and the exit code is 1.
    """
    from foveal.export.ensemble.build import build_ensemble
    from foveal.export.writing import Target
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    target = Target.of(out)
    members = [ModelPackage.open(locate(package, zoo)) for package in packages]
    digest = build_ensemble(members, data, target, split_file=split_file, about=about, log=_log)
    typer.echo(f"{out} {digest}")


def evaluate(
    model: Annotated[str, typer.Argument(metavar="PACKAGE|RUN", help="NAME, NAME@VERSION, package or run folder.")],
    data: Annotated[Path, DATA],
    split: Annotated[str, typer.Option(help="train | val | test | all")] = "test",
    split_file: Annotated[Path | None, typer.Option(help="CSV name,split that the model was trained with.")] = None,
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
    provider: Annotated[str, typer.Option(help="Of a package: cpu | cuda | tensorrt | openvino")] = "cpu",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder for report.html: curves and the worst mistakes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Score a package, or a training run before its export, on a data set: the same pipeline and the same code."""
    from foveal.export.comparison.subject import subject_of
    from foveal.export.evaluation.evaluate import read_data, results_of, scores_of, select
    from foveal.export.evaluation.report import print_scores, scores_object

    subject = subject_of(model, zoo, provider)
    pipeline = subject.pipeline
    dataset = read_data(pipeline.spec.task, subject.recipe, data, split_file)
    for warning in subject.warnings(dataset.fingerprint, str(data), split):
        _log(warning)
    samples = select(dataset, split, pipeline.spec.labels)
    results = results_of(pipeline, samples)
    scores = scores_of(pipeline, samples, results)
    title = f"{model} on {scores.images} images, split {split!r} of {dataset.name}"
    if report is not None:
        from foveal.export.report.gallery import write_gallery

        _log(str(write_gallery(pipeline, samples, results, scores, title, report)))
    if as_json:
        typer.echo(json.dumps(scores_object(scores, model=model, data=dataset.name, split=split)))
    else:
        print_scores(scores, title)


def package_set(
    package: Annotated[str, typer.Argument(metavar="PACKAGE", help="NAME, NAME@VERSION or package folder.")],
    out: Annotated[Path, typer.Option(help="The new package: zoo/NAME/VERSION; must not exist.")],
    score_threshold: Annotated[float | None, typer.Option(help="Default of requests; objects, instances.")] = None,
    iou_threshold: Annotated[float | None, typer.Option(help="Default of NMS; objects, instances.")] = None,
    max_detections: Annotated[int | None, typer.Option(help="Default; objects, instances.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Default; classification.")] = None,
    mask_format: Annotated[str | None, typer.Option(help="Default; instances: rle, polygon, png, none.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="The labels that are answered, after renaming; others are left out (objects).")
    ] = None,
    labels: Annotated[list[str] | None, typer.Option(metavar="OLD=NEW", help="Rename a class; several times.")] = None,
    example: Annotated[list[Path] | None, EXAMPLE] = None,
    about: Annotated[str | None, ABOUT] = None,
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
) -> None:
    """Write a new version of a package with other defaults, class names or example images; the graph stays the same.

    The old package must reproduce its golden results first; those of the new one are made anew and checked.
    """
    from foveal.export.editing import edit
    from foveal.export.writing import Target
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    values: dict[str, Any] = {"score_threshold": score_threshold, "iou_threshold": iou_threshold, "top_k": top_k}
    values |= {"max_detections": max_detections, "mask_format": mask_format}
    values["classes"] = None if classes is None else [label.strip() for label in classes.split(",")]
    given: OptionValues = {name: value for name, value in values.items() if value is not None}  # type: ignore[assignment]
    opened, target = ModelPackage.open(locate(package, zoo)), Target.of(out)
    digest = edit(opened, target, defaults=given, labels=_renames(labels or []), examples=example, about=about)
    typer.echo(f"{out} {digest}")


def _renames(texts: list[str]) -> dict[str, str]:
    """`old=new` -> {old: new}."""
    pairs = [text.partition("=") for text in texts]
    for text, (old, sign, new) in zip(texts, pairs, strict=True):
        if not (sign and old.strip() and new.strip()):
            raise typer.BadParameter(f"--labels {text}: expected OLD=NEW")
    return {old.strip(): new.strip() for old, _, new in pairs}


def _data_of_training(run: Path, checkpoint: Checkpoint, data: Path | None) -> DataSet[Any]:
    """The very data set that the run was trained with."""
    from foveal.errors import BadData
    from foveal.models.readers import load_data
    from foveal.models.training.exportable import check_exportable
    from foveal.models.training.run_folder import data_root

    dataset = load_data(checkpoint.recipe, data or data_root(run))
    if dataset.fingerprint != checkpoint.data.fingerprint:
        raise BadData(
            f"{data or data_root(run)}: expected the data set of training, {checkpoint.data.fingerprint}, got another"
        )
    check_exportable(checkpoint.trainer, checkpoint.recipe, dataset)
    return dataset


def _log(line: str) -> None:
    typer.echo(line, err=True)
