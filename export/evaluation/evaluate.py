"""Scores (`evaluate`) of a trained checkpoint, a graph not yet packaged, or a package: one code for all three.

Needs no torch: a package is scored where it is served.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foveal.errors import BadData, ParityFailure, UnknownName
from foveal.inference.pipeline import Pipeline
from foveal.metrics import Scores, scoring
from foveal.models.data.dataset import SPLITS, DataSet, Sample
from foveal.models.readers import reader_of
from foveal.options import Options
from foveal.packages.manifest import Metrics
from foveal.progress import track
from foveal.results import Result
from foveal.tasks.base import Outputs, Prepared

AGREEMENT = 0.0005  # how far a metric may move from checkpoint to package


def evaluate(pipeline: Pipeline, samples: Sequence[Sample[Any]]) -> Scores:
    """Predict every sample from its file's bytes and score the results.

    Args:
        pipeline: decodes, preprocesses, runs and decodes as in production.
        samples: images with their truth, in the model's class ids.

    Raises:
        BadData: no samples. BadImage: a file that cannot be read; a silently shorter test set would flatter.
    """
    return scores_of(pipeline, samples, results_of(pipeline, samples))


def scores_of(pipeline: Pipeline, samples: Sequence[Sample[Any]], results: Sequence[Result]) -> Scores:
    """Score results that `results_of` gave for the samples."""
    threshold = pipeline.spec.defaults.score_threshold  # errors and counts are those of the model as it is used
    at = {} if threshold is None else {"score_threshold": threshold}
    truths = [sample.truth for sample in samples]
    return scoring(pipeline.spec.task).score(results, truths, pipeline.spec.labels, **at)


def results_of(pipeline: Pipeline, samples: Sequence[Sample[Any]]) -> list[Result]:
    """Every sample's result, in full as its scorer wants it (low thresholds, all classes).

    Raises:
        BadData: no samples. BadImage: a file that cannot be read.
    """
    if not samples:
        raise BadData("expected images to evaluate on, got none")
    options = scoring(pipeline.spec.task).options.resolved(
        pipeline.spec.defaults.model_copy(update={"classes": None})  # all are scored
    )
    return [pipeline.finish(raw, prepared, options) for prepared, raw in outputs_of(pipeline, samples, options)]


def outputs_of(
    pipeline: Pipeline, samples: Sequence[Sample[Any]], options: Options
) -> Iterator[tuple[Prepared, Outputs]]:
    """Every sample, read from its file's bytes, and the network's raw outputs for it; `options` are resolved ones."""
    for sample in track(samples, total=len(samples), what="evaluate"):
        prepared = pipeline.prepare(sample.path)
        yield prepared, pipeline.infer([prepared], [options])[0]


def read_data(task: str, recipe: Mapping[str, Any], root: Path, split_file: Path | None = None) -> DataSet[Any]:
    """Read a data set and split it as the model's recipe says, so that `test` is what training never saw.

    Raises:
        UnknownName: no reader for the task. BadData: not readable, or the recipe's split file is not given.
    """
    reader = reader_of(task)
    fields = {name: value for name, value in recipe.items() if name in reader.recipe_type.model_fields}
    if fields.get("split_file") and split_file is None:
        raise BadData(f"the model's recipe splits by {fields['split_file']}: give it as --split-file")
    resolved = reader.recipe_type.of({**fields, "split_file": split_file and str(split_file)})
    return reader.load(root, resolved)


def select(data: DataSet[Any], split: str, labels: tuple[str, ...]) -> tuple[Sample[Any], ...]:
    """The samples of a split, or of `all`.

    Raises:
        UnknownName: no such split. BadData: the data set's labels are not the model's.
    """
    if split not in (*SPLITS, "all"):
        raise UnknownName.among("split", split, (*SPLITS, "all"))
    if data.labels != labels:
        raise BadData(f"{data.name}: expected the model's labels {', '.join(labels)}; got {', '.join(data.labels)}")
    samples = data.splits.train + data.splits.val + data.splits.test if split == "all" else data.splits[split]
    if not samples:
        there = ", ".join(f"{name} ({count} images)" for name, count in data.splits.counts().items() if count)
        raise BadData(f"{data.name}: no images in split {split!r}; choose another with --split: {there or 'none'}, all")
    return samples


def same_metrics(checkpoint: Scores, package: Scores, split: str) -> Metrics:
    """Both scores as the manifest keeps them.

    Raises:
        ParityFailure: a metric moved by more than 0.0005.
    """
    moved = [
        f"{name}: {value:.6f} before, {package.values[name]:.6f} after"
        for name, value in checkpoint.values.items()
        if not abs(value - package.values[name]) <= AGREEMENT
    ]
    if moved:
        raise ParityFailure(
            f"on {package.images} images of split {split!r}, expected metrics within {AGREEMENT}: {'; '.join(moved)}; "
            "where the graph's outputs agree with the network's, its best scores are ties: it may have learnt nothing"
        )
    return Metrics(
        split=split,
        images=package.images,
        values=_rounded(package.values),
        intervals_95={name: (round(low, 6), round(high, 6)) for name, (low, high) in package.intervals_95.items()},
        checkpoint_values=_rounded(checkpoint.values),
        per_class={label: _rounded(figures) for label, figures in package.per_class.items()},
    )


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
