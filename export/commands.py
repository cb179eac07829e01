"""`foveal export` and `foveal evaluate`. Heavy imports stand inside the functions, so that `--help` stays instant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from typing import Any

    from foveal.inference.pipeline import Pipeline
    from foveal.models.data.dataset import Splits
    from foveal.models.training.checkpoint import Checkpoint

DATA = typer.Option(help="The data set, in a layout that `foveal train` reads.")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `foveal train`.")],
    out: Annotated[Path, typer.Option(help="The package: zoo/NAME/VERSION; must not exist.")],
    data: Annotated[Path | None, typer.Option(help="The data set, when it moved since training.")] = None,
    about: Annotated[str, typer.Option(help="What the model is for, in your words; goes on the card.")] = "",
    max_batch: Annotated[int, typer.Option(min=1, max=64, help="Largest batch to prove and to allow.")] = 16,
) -> None:
    """Turn a trained run into a package: trace it to ONNX, prove the graph, score both on the test split, write.

    When the graph or its metrics are not those of the trained model nothing is written, and the exit code is 1.
    """
    from foveal.export.build import Target, build
    from foveal.models.training.checkpoint import load_run

    target = Target.of(out)
    checkpoint = load_run(run)
    splits = _splits(run, checkpoint, data)
    digest = build(checkpoint, splits.test, target, val=splits.val, about=about, max_batch=max_batch, log=_log)
    typer.echo(f"{out} {digest}")


def ensemble(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE…", help="Two or more: NAME, NAME@VERSION, folder.")],
    data: Annotated[Path, typer.Option(help="The data set that they were trained with; its test split is scored.")],
    out: Annotated[Path, typer.Option(help="The package: zoo/NAME/VERSION; must not exist.")],
    split_file: Annotated[Path | None, typer.Option(help="CSV name,split that they were trained with.")] = None,
    about: Annotated[str, typer.Option(help="What the model is for, in your words; goes on the card.")] = "",
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
) -> None:
    """Make one package of several classifiers: its scores are the mean of theirs, temperatures included.

    They must have the same labels and the same way from image to model input, and must not have learnt from each
    other's test images. When the graph is not their mean nothing is written, and the exit code is 1.
    """
    from foveal.export.build import Target
    from foveal.export.ensemble.build import build_ensemble
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Score a package, or a training run before its export, on a data set: the same pipeline and the same code."""
    from foveal.export.evaluation.evaluate import evaluate as score
    from foveal.export.evaluation.evaluate import select
    from foveal.export.evaluation.readers import read_data
    from foveal.export.evaluation.report import print_scores, scores_object

    subject = _subject(model, zoo, provider)
    pipeline = subject.pipeline
    dataset = read_data(pipeline.spec.task, subject.recipe, data, split_file)
    if dataset.fingerprint != subject.fingerprint:
        _log(f"{data} is not, to the byte, what the model was trained with: {split!r} may hold images it learnt from")
    scores = score(pipeline, select(dataset, split, pipeline.spec.labels))
    if as_json:
        typer.echo(json.dumps(scores_object(scores, model=model, data=dataset.name, split=split)))
    else:
        print_scores(scores, f"{model} on {scores.images} images, split {split!r} of {dataset.name}")


@dataclass(frozen=True)
class _Subject:
    """What is evaluated."""

    pipeline: Pipeline
    recipe: dict[str, Any]
    fingerprint: str  # of the data that it was trained with


def _subject(model: str, zoo: Path | None, provider: str) -> _Subject:
    """A run's network, or a package's graph."""
    from foveal import load
    from foveal.inference.pipeline import Pipeline

    if not (Path(model) / "run.json").is_file():
        predictor = load(model, zoo=zoo, provider=provider)
        return _Subject(predictor, predictor.manifest.recipe, predictor.manifest.data.fingerprint)
    from foveal.export.build import pipeline_spec
    from foveal.export.tasks import exporter_of
    from foveal.models.training.checkpoint import load_run

    checkpoint = load_run(Path(model))
    reference = exporter_of(checkpoint.task).reference(checkpoint)
    recipe = checkpoint.recipe.model_dump(mode="json")
    return _Subject(Pipeline(pipeline_spec(checkpoint), reference, "torch"), recipe, checkpoint.data.fingerprint)


def _splits(run: Path, checkpoint: Checkpoint, data: Path | None) -> Splits[Any]:
    """Those of the very data set that the run was trained with."""
    from foveal.errors import BadData
    from foveal.models.tasks import load_data
    from foveal.models.training.run_folder import data_root

    dataset = load_data(checkpoint.recipe, data or data_root(run))
    if dataset.fingerprint != checkpoint.data.fingerprint:
        raise BadData(
            f"{data or data_root(run)}: expected the data set of training, {checkpoint.data.fingerprint}, got another"
        )
    if not dataset.splits.test:
        raise BadData(f"{dataset.name}: expected held-out images in split 'test', got none")
    return dataset.splits


def _log(line: str) -> None:
    typer.echo(line, err=True)
