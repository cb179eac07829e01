"""Curves of a run (`draw_curves`). Matplotlib figures are made and saved as objects: no display, no global state."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

Row = dict[str, float]


def draw_curves(path: Path, rows: Sequence[Row]) -> None:
    """One panel for losses, one for val metrics, one for learning rates, over epochs."""
    panels = {
        "loss": [n for n in rows[0] if "loss" in n],
        "val metrics": [n for n in rows[0] if n.startswith("val_") and "loss" not in n],
        "learning rate": [n for n in rows[0] if n.startswith("lr_")],
    }
    figure = Figure(figsize=(15, 4), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for name in names:
            axes.plot([r["epoch"] for r in rows], [r.get(name, np.nan) for r in rows], marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        if names:
            axes.legend(fontsize="small")
    figure.savefig(path, dpi=100)
