"""Comparisons for people (tables, an HTML page, a contact sheet) and for programs (one JSON object)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foveal.export.comparison.compare import Comparison
from foveal.export.comparison.subject import Subject
from foveal.export.report import page
from foveal.export.report.panels import UInt8Array, shown
from foveal.imaging.drawing import encode
from foveal.metrics import scoring
from foveal.metrics.paired import Difference
from foveal.packages.package import staged_folder

MOST_IMAGES = 12  # images on the contact sheet
GAP_PX = 6
CAUTION = "Slices are many: about one in twenty differs by chance alone."


def comparison_object(found: Comparison, *, data: str, split: str, max_drop: float) -> dict[str, Any]:
    """What `foveal compare --json` prints."""
    models = []
    for row, name in enumerate(found.names):
        own: dict[str, Any] = {"model": name, "values": {}, "label": {}, "size": {}}
        for (kind, figure), value in found.figures.values[row].items():
            entry: dict[str, Any] = {"value": value, "interval_95": found.figures.intervals_95[row].get((kind, figure))}
            if (difference := found.figures.differences[row].get((kind, figure))) is not None:
                entry |= {"difference": difference.value, "difference_95": difference.interval_95}
                entry["certain"] = difference.certain
            own[kind or "values"][figure] = entry
        if row:
            own |= {"verdict": found.verdict(row), "differing_images": found.main_difference(row).differing}
        models.append(own)
    return {
        "data": data,
        "split": split,
        "task": found.task,
        "images": len(found.samples),
        "metric": found.metric,
        "by": found.by,
        "max_drop": max_drop,
        "worse": found.worse(max_drop),
        "models": models,
        "slices": [
            {
                "kind": each.slice.kind,
                "name": each.slice.name,
                "images": len(each.slice.images),
                "values": [value if np.isfinite(value) else None for value in each.values],
                "differences": [difference and difference.value for difference in each.differences],
                "differences_95": [difference and difference.interval_95 for difference in each.differences],
            }
            for each in found.slices
        ],
        "most_different": [
            {"name": found.samples[i].name, "quality": found.quality[:, i].tolist()}
            for i in found.most_different(MOST_IMAGES)
        ],
    }


def print_comparison(found: Comparison, title: str) -> None:
    """Tables of figures, labels, sizes and slices; the verdicts last."""
    console = Console(width=None if typer.get_text_stream("stdout").isatty() else 160)
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    for header, rows in tables(found):
        table = Table(*map(escape, header))
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
    for model in range(1, len(found.names)):
        console.print(found.verdict(model), soft_wrap=True, highlight=False, markup=False)


def tables(found: Comparison) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of each table; empty ones are left out."""
    by = f", {found.by}" if found.by else ""
    parts = [
        (["figure", *_columns(found)], _rows(found, "")),
        ([f"label{by}", *_columns(found)], _rows(found, "label")),
        ([f"object size{by}", *_columns(found)], _rows(found, "size")),
        (["slice", "images", *_columns(found)], _slice_rows(found)),
    ]
    return [(header, rows) for header, rows in parts if rows]


def _columns(found: Comparison) -> list[str]:
    return [found.names[0], *(text for name in found.names[1:] for text in (name, "difference (95 %)"))]


def _rows(found: Comparison, kind: str) -> list[list[str]]:
    rows = []
    for key, value in found.figures.values[0].items():
        if key[0] != kind:
            continue
        between = found.figures.intervals_95[0].get(key)
        row = [key[1], f"{value:.4f}" + (f" ({between[0]:.3f} to {between[1]:.3f})" if between else "")]
        for model in range(1, len(found.names)):
            other = found.figures.values[model].get(key)
            row += ["" if other is None else f"{other:.4f}", _words(found.figures.differences[model].get(key))]
        rows.append(row)
    return rows


def _slice_rows(found: Comparison) -> list[list[str]]:
    rows = []
    for each in found.slices:
        row = [f"{each.slice.kind}: {each.slice.name}", str(len(each.slice.images)), f"{each.values[0]:.4f}"]
        for value, difference in zip(each.values[1:], each.differences[1:], strict=True):
            row += [f"{value:.4f}", _words(difference)]
        rows.append(row)
    return rows


def _words(difference: Difference | None) -> str:
    if difference is None:
        return ""
    low, high = difference.interval_95
    return f"{difference.value:+.4f} ({low:+.3f} to {high:+.3f}){' *' if difference.certain else ''}"


def write_report(found: Comparison, subjects: Sequence[Subject], title: str, out: Path) -> None:
    """Write report.html and, where models differ on an image, contact-sheet.jpg into a new folder.

    Raises:
        BadOutput: the folder exists.
    """
    panels = [_panels(found, subjects, i) for i in found.most_different(MOST_IMAGES)]
    sections = [page.paragraph(found.verdict(row), kind=_kind(found, row)) for row in range(1, len(found.names))]
    sections.append(page.paragraph("A star marks differences whose interval leaves out 0. " + CAUTION))
    for header, rows in tables(found):
        sections += [page.heading(header[0]), page.table(header, rows)]
    if panels:
        sections.append(page.heading("Where they differ most"))
        sections += [page.images(row) for row in panels]
    with staged_folder(out) as folder:
        (folder / "report.html").write_text(page.page(title, sections), encoding="utf-8")
        if panels:
            (folder / "contact-sheet.jpg").write_bytes(encode(_sheet(panels), "image/jpeg"))


def _kind(found: Comparison, row: int) -> str:
    difference = found.main_difference(row)
    return "note" if not difference.certain else "better" if difference.value > 0 else "worse"


def _panels(found: Comparison, subjects: Sequence[Subject], index: int) -> list[tuple[UInt8Array, str]]:
    """The truth and every model's answer to one image, with the models' own thresholds."""
    sample = found.samples[index]
    truth = scoring(found.task).truth_result
    panels = []
    for row, subject in enumerate(subjects):
        pipeline = subject.pipeline
        prepared = pipeline.prepare(sample.path)
        options = pipeline.spec.defaults.model_copy(update={"classes": None})
        resolved = pipeline.options().resolved(options)
        result = pipeline.finish(pipeline.infer([prepared], [resolved])[0], prepared, resolved)
        if not row and truth is not None:
            drawn = shown(sample.path, truth(sample.truth, found.labels, result.image_hw))
            panels.append((drawn, f"{sample.name}: truth"))
        panels.append((shown(sample.path, result), f"{subject.name}: {found.quality[row, index]:.3f}"))
    return panels


def _sheet(panels: Sequence[Sequence[tuple[UInt8Array, str]]]) -> UInt8Array:
    """A row an image, columns as in the page."""
    heights = [max(rgb.shape[0] for rgb, _ in row) for row in panels]
    widths = [max(row[column][0].shape[1] for row in panels) for column in range(len(panels[0]))]
    size = (sum(heights) + GAP_PX * (len(heights) + 1), sum(widths) + GAP_PX * (len(widths) + 1), 3)
    sheet: npt.NDArray[np.uint8] = np.full(size, 255, np.uint8)
    top = GAP_PX
    for row, height in zip(panels, heights, strict=True):
        left = GAP_PX
        for (rgb, _), width in zip(row, widths, strict=True):
            sheet[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
            left += width + GAP_PX
        top += height + GAP_PX
    return sheet
