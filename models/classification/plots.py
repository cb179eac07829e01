"""The confusion matrix as a figure (`draw_confusion`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from foveal.models.training.plots import drawable


def draw_confusion(path: Path, counts: npt.NDArray[np.int64], labels: Sequence[str]) -> None:
    """Confusion matrix: rows are true classes, columns are answers, colour is the share of the row."""
    with drawable(labels) as drawn:
        _draw(path, counts, [drawn[label] for label in labels])


def _draw(path: Path, counts: npt.NDArray[np.int64], labels: Sequence[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(24.0, 3.0 + 0.5 * len(labels))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="truth", xticks=range(len(labels)), yticks=range(len(labels)))
    axes.set_xticklabels(labels, rotation=90)
    axes.set_yticklabels(labels)
    if len(labels) <= 30:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize="small")
    figure.savefig(path, dpi=100)
