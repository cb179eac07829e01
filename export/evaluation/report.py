"""Scores for people (tables on stdout) and for programs (one JSON object)."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from foveal.export.card import figure
from foveal.metrics import Scores


def scores_object(scores: Scores, **context: str) -> dict[str, Any]:
    """What `foveal evaluate --json` prints; `context` says what was scored on what."""
    return {
        **context,
        "images": scores.images,
        "values": scores.values,
        "intervals_95": scores.intervals_95,
        "per_class": scores.per_class,
        **scores.details,
    }


def print_scores(scores: Scores, title: str) -> None:
    """Headline figures with intervals, figures by class, and the confusion matrix or the errors where there are any."""
    console = Console(width=None if typer.get_text_stream("stdout").isatty() else 160)
    headline = Table("figure", "value", "95 % interval", title=title, title_justify="left")
    for name, value in scores.values.items():
        low_high = scores.intervals_95.get(name)
        headline.add_row(name, f"{value:.4f}", f"{low_high[0]:.4f} – {low_high[1]:.4f}" if low_high else "")
    console.print(headline)
    if scores.per_class:
        columns = list(dict.fromkeys(column for figures in scores.per_class.values() for column in figures))
        by_class = Table("class", *columns)
        for label, figures in scores.per_class.items():
            by_class.add_row(label, *(figure(column, figures.get(column)) for column in columns))
        console.print(by_class)
    if "confusion" in scores.details:
        labels = list(scores.per_class)
        confusion = Table("true \\ predicted", *labels)
        for label, row in zip(labels, scores.details["confusion"], strict=True):
            confusion.add_row(label, *(str(count) if count else "·" for count in row))
        console.print(confusion)
    if "errors" in scores.details:
        console.print(_errors(scores.details))


def _errors(details: Mapping[str, Any]) -> Table:
    """What is right, wrong and missed at the model's threshold, a row a class (foveal.metrics.detection_errors)."""
    rows: Mapping[str, Mapping[str, int]] = details["errors"]
    at, count = details["at_threshold"], details["count"]
    kinds = list(next(iter(rows.values())))
    table = Table(
        "class",
        *kinds,
        title=f"detections with a score above {at['score_threshold']:.3f}: precision {at['precision']:.3f}, "
        f"recall {at['recall']:.3f}; an image's count is off by {count['mean_absolute']:.1f}",
        title_justify="left",
    )
    for label, counts in rows.items():
        table.add_row(label, *(str(counts[kind]) if counts[kind] else "·" for kind in kinds))
    return table
