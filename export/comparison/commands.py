"""`foveal compare`. Heavy imports stand inside the function, so that `--help` stays instant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    models: Annotated[
        list[str],
        typer.Argument(metavar="BASELINE MODEL…", help="Packages (NAME, NAME@VERSION, folder) or run folders."),
    ],
    data: Annotated[Path, typer.Option(help="The data set, in a layout that `foveal train` reads.")],
    split: Annotated[str, typer.Option(help="train | val | test | all, as the baseline's recipe splits.")] = "test",
    split_file: Annotated[Path | None, typer.Option(help="CSV name,split that the models were trained with.")] = None,
    metric: Annotated[str | None, typer.Option(help="The figure to judge by; default: the task's first.")] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Largest drop of it that is no regression, as a share.")
    ] = 0.0,
    slices: Annotated[Path | None, typer.Option(help="CSV name,… whose other columns are slices.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="New folder for report.html and images.")] = None,
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
    provider: Annotated[str, typer.Option(help="Of packages: cpu | cuda | tensorrt | openvino")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Compare models with the first, the baseline, on the same images.

    Differences are paired: images are drawn with repeats, the same for all models, so that what is hard for all of them
    cancels. The exit code is 1 when a model is certainly worse by more than --max-drop, 2 when tasks or labels differ.
    """
    from foveal.export.comparison.compare import check_alike
    from foveal.export.comparison.compare import compare as compared
    from foveal.export.comparison.report import comparison_object, print_comparison, write_report
    from foveal.export.comparison.subject import subject_of
    from foveal.export.evaluation.evaluate import read_data, select

    if len(models) < 2:
        raise typer.BadParameter("expected two models or more, the baseline first")
    subjects = [subject_of(model, zoo, provider) for model in models]
    check_alike(subjects)
    spec = subjects[0].pipeline.spec
    dataset = read_data(spec.task, subjects[0].recipe, data, split_file)
    for subject in subjects:
        for warning in subject.warnings(dataset.fingerprint, str(data), split):
            _log(f"{subject.name}: {warning}")
    samples = select(dataset, split, spec.labels)
    found = compared(subjects, samples, metric=metric, table=slices, log=_log)
    title = f"{', '.join(models[1:])} against {models[0]} on {len(samples)} images, split {split!r} of {dataset.name}"
    if report is not None:
        write_report(found, subjects, title, report)
        _log(f"{report / 'report.html'}")
    if as_json:
        typer.echo(json.dumps(comparison_object(found, data=dataset.name, split=split, max_drop=max_drop)))
    else:
        print_comparison(found, title)
    if found.worse(max_drop):
        raise typer.Exit(1)


def _log(line: str) -> None:
    typer.echo(line, err=True)
