"""Gallery of a classifier (`classified`): its surest mistakes, and labels of the truth that may be wrong."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from foveal.export.report import page
from foveal.export.report.panels import shown
from foveal.models.data.dataset import Sample
from foveal.tasks.classification import Classification

MISTAKES = 24
DOUBTFUL = 12
SIDE_PX = 200


def classified(samples: Sequence[Sample[int]], results: Sequence[Classification]) -> list[str]:
    """Sections of a page; results have every class."""
    labels = results[0].labels
    truth = np.array([sample.truth for sample in samples])
    probabilities = np.zeros((len(results), len(labels)))
    for row, result in zip(probabilities, results, strict=True):
        row[result.class_ids] = result.scores
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != truth)
    surest = wrong[np.argsort(-probabilities[wrong, said[wrong]], kind="stable")]
    doubtful = label_errors(probabilities, truth)
    return [
        page.heading(f"Mistakes, the surest first: {len(wrong)} of {len(samples)}"),
        _images(samples, surest[:MISTAKES], truth, probabilities, labels),
        page.heading(f"Labels that may be wrong: {len(doubtful)}"),
        page.paragraph(
            "The model is as sure of another class as it is, on average, of images that have that label (confident "
            "learning). Look at them before you count them as mistakes."
        ),
        _images(samples, doubtful[:DOUBTFUL], truth, probabilities, labels),
    ]


def label_errors(probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Images whose label may be wrong, likeliest first.

    Northcutt, Jiang, Chuang, "Confident learning", JAIR 2021: class j is confident in an image when its probability
    reaches the mean that it has on images labelled j; an image counts when a class other than its label is.

    Args:
        probabilities: (N, C).
        truth: (N,) class ids.

    Returns:
        (K,) indices, by falling difference between that class' probability and the label's.
    """
    classes = probabilities.shape[1]
    means = [probabilities[truth == j, j].mean() if (truth == j).any() else np.inf for j in range(classes)]
    confident = np.where(probabilities >= np.array(means), probabilities, -np.inf)
    best = confident.argmax(axis=1)
    rows = np.arange(len(truth))
    found = np.flatnonzero(np.isfinite(confident[rows, best]) & (best != truth))
    margin = probabilities[found, best[found]] - probabilities[found, truth[found]]
    return found[np.argsort(-margin, kind="stable")].astype(np.int64)


def _images(
    samples: Sequence[Sample[int]],
    rows: npt.NDArray[np.int64],
    truth: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    labels: Sequence[str],
) -> str:
    figures = []
    for i in rows.tolist():
        best = int(probabilities[i].argmax())
        words = f"{samples[i].name}: {labels[truth[i]]} {probabilities[i, truth[i]]:.3f}, taken for {labels[best]} "
        figures.append((shown(samples[i].path, None, side_px=SIDE_PX), words + f"{probabilities[i, best]:.3f}"))
    return page.images(figures)
