"""Scores for people (tables on stdout) and for programs (one JSON object)."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from foveal.export.card import figure
from foveal.metrics import Scores

FEW = 5  # cases of a class, below which its figures say next to nothing
MAX_NAMED = 10  # classes or mistakes in one note


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
    _print_line(console, title)
    headline = Table("figure", "value", "95 % interval")
    for name, value in scores.values.items():
        low_high = scores.intervals_95.get(name)
        headline.add_row(name, f"{value:.4f}", f"{low_high[0]:.4f} – {low_high[1]:.4f}" if low_high else "")
    console.print(headline)
    if scores.per_class:
        columns = list(dict.fromkeys(column for figures in scores.per_class.values() for column in figures))
        by_class = Table("class", *columns)
        for label, figures in scores.per_class.items():
            by_class.add_row(escape(label), *(figure(column, figures.get(column)) for column in columns))
        console.print(by_class)
    for note in unmeasured(scores):
        _print_line(console, note)
    if "confusion" in scores.details:
        _print_confusion(console, list(scores.per_class), scores.details["confusion"])
    if "errors" in scores.details:
        _print_errors(console, scores.details)


def unmeasured(scores: Scores) -> list[str]:
    """Classes with next to no cases among these images, in words: no figure tells whether they are learnt."""
    cases = {label: of.get("support", of.get("objects")) for label, of in scores.per_class.items()}
    few = sorted((count, label) for label, count in cases.items() if count is not None and count < FEW)
    if not few:
        return []
    named = ", ".join(f"{label} ({count:.0f})" for count, label in few[:MAX_NAMED])
    more = f" and {len(few) - MAX_NAMED} more" if len(few) > MAX_NAMED else ""
    return [f"too few cases to judge by: {named}{more}"]


def _print_line(console: Console, text: str) -> None:
    """A line as long as it is: a terminal wraps it, and a file gets one line."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _print_confusion(console: Console, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    """The whole matrix where it fits, else the most frequent mistakes."""
    matrix = Table("true \\ predicted", *map(escape, labels))
    for label, row in zip(labels, counts, strict=True):
        matrix.add_row(escape(label), *(str(count) if count else "·" for count in row))
    if Measurement.get(console, console.options.update(width=10_000), matrix).maximum <= console.width:
        console.print(matrix)
        return
    mistakes = sorted(
        ((n, labels[i], labels[j]) for i, row in enumerate(counts) for j, n in enumerate(row) if n and i != j),
        key=lambda mistake: -mistake[0],
    )
    _print_line(console, f"{len(mistakes)} kinds of mistakes; the most frequent (all of them: --json):")
    for count, true, predicted in mistakes[:MAX_NAMED]:
        _print_line(console, f"  {count} × {true} taken for {predicted}")


def _print_errors(console: Console, details: Mapping[str, Any]) -> None:
    """What is right, wrong and missed at the model's threshold, a row a class (foveal.metrics.detection_errors)."""
    rows: Mapping[str, Mapping[str, int]] = details["errors"]
    at, count = details["at_threshold"], details["count"]
    kinds = list(next(iter(rows.values())))
    _print_line(
        console,
        f"detections with a score above {at['score_threshold']:.3f}: precision {at['precision']:.3f}, recall "
        f"{at['recall']:.3f}; the number of objects in an image is off by {count['mean_absolute']:.1f}, on average",
    )
    table = Table("class", *kinds)
    for label, counts in rows.items():
        table.add_row(escape(label), *(str(counts[kind]) if counts[kind] else "·" for kind in kinds))
    console.print(table)
