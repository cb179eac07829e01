"""Figures of a detector on the val split: precision against recall, and F1 against the confidence."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from foveal.metrics import Scores
from foveal.models.training.plots import drawable


def draw_precision_recall(path: Path, scores: Scores) -> None:
    """Left: a curve a label at IoU 0.5. Right: F1 over all labels, with the confidence that maximises it."""
    with drawable(scores.details["pr_curves"]) as drawn:
        _draw(path, scores, drawn)


def _draw(path: Path, scores: Scores, drawn: Mapping[str, str]) -> None:
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, curve in scores.details["pr_curves"].items():
        left.plot(
            curve["recall"], curve["precision"], label=f"{drawn[label]}, AP50 {scores.per_class[label]['AP50']:.3f}"
        )
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="at IoU 0.5")
    left.legend(fontsize="small")
    curve, best = scores.details["f1_curve"], scores.details["best_f1"]
    right.plot(curve["score_threshold"], curve["f1"])
    right.axvline(best["score_threshold"], color="grey", linestyle="--")
    right.set(xlabel="confidence", ylabel="F1", xlim=(0, 1), ylim=(0, 1.02))
    right.set_title(f"best F1 {best['f1']:.3f} at confidence {best['score_threshold']:.3f}")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
