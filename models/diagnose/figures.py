"""Figures of a diagnosis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from foveal.models.training.plots import drawable

SHEET_COLUMNS = 6


def line_figure(values: Sequence[float], x: str, y: str, *, log_y: bool = False) -> Figure:
    """One line."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(values)
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    if log_y and min(values) > 0:
        axes.set_yscale("log")
    return figure


def rate_figure(
    rates: Sequence[float], losses: Sequence[float], *, suggested: float, too_high: float | None, recipe_rate: float
) -> Figure:
    """Loss over rate, with the suggested rate and the recipe's marked."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses)
    axes.axvline(suggested, color="green", label=f"suggested {suggested:.2g}")
    axes.axvline(recipe_rate, color="black", linestyle=":", label=f"recipe {recipe_rate:.2g}")
    if too_high is not None:
        axes.axvspan(too_high, max(rates[-1], too_high * 1.01), color="red", alpha=0.15, label="too high")
    axes.set(xscale="log", xlabel="lr_head", ylabel="loss")
    axes.legend()
    return figure


def trials_figure(trials: Sequence[Any], metric: str) -> Figure:
    """Every trial's metric over each field that was searched; the finer search is filled."""
    names = sorted({name for trial in trials for name in trial.fields})
    figure = Figure(figsize=(4 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for phase, face in (("coarse", "none"), ("fine", "tab:orange")):
            found = [t for t in trials if t.phase == phase]
            xs, ys = [t.fields[name] for t in found], [t.metric for t in found]
            if found:
                axes.scatter(xs, ys, facecolors=face, edgecolors="black", label=phase)
        values = [trial.fields[name] for trial in trials]
        around = (min(values) / 3, max(values) * 3)  # at least a decade, or the axis has no power of ten to label
        axes.set(xscale="log", xlabel=name, ylabel=metric, xlim=around)
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def curves_figure(rows: Sequence[dict[str, float]], metric: str) -> Figure:
    """Losses and the val metric over epochs."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for name in ("loss", "val_loss"):
        if name in rows[0]:
            left.plot(epochs, [row[name] for row in rows], marker=".", label=name)
    right.plot(epochs, [row[metric] for row in rows], marker=".", label=metric)
    for axes in (left, right):
        axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def contact_sheet(items: Sequence[tuple[npt.NDArray[np.uint8], str]]) -> Figure:
    """Model inputs (H, W, 3) RGB side by side, each under its caption."""
    with drawable(caption for _, caption in items) as drawn:
        return _contact_sheet([(rgb, drawn[caption]) for rgb, caption in items])


def _contact_sheet(items: Sequence[tuple[npt.NDArray[np.uint8], str]]) -> Figure:
    rows = -(-len(items) // SHEET_COLUMNS)
    figure = Figure(figsize=(2 * SHEET_COLUMNS, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, SHEET_COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (rgb, caption) in zip(panels, items, strict=False):
        axes.imshow(rgb)
        axes.set_title(caption, fontsize="x-small")
    return figure
