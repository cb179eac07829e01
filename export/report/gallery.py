"""Error gallery (`write_gallery`): scores, curves, confusions, and the worst mistakes beside the truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foveal.export.report import charts, page
from foveal.export.report.classified import classified
from foveal.export.report.detected import detected
from foveal.export.report.mapped import mapped
from foveal.inference.pipeline import Pipeline
from foveal.metrics import Scores, scoring
from foveal.models.data.dataset import Sample
from foveal.packages.package import staged_folder
from foveal.results import Result
from foveal.tasks.classification import Classification
from foveal.tasks.detections import Detections
from foveal.tasks.semantic_segmentation import SemanticMap


def write_gallery(
    pipeline: Pipeline, samples: Sequence[Sample[Any]], results: Sequence[Result], scores: Scores, title: str, out: Path
) -> Path:
    """Write report.html into a new folder.

    Args:
        pipeline: of the model; its score threshold decides what is an error.
        samples: the images.
        results: of the samples, in full (`results_of`).
        scores: of the results.
        title: of the page.
        out: the folder.

    Returns:
        The page's path.

    Raises:
        BadOutput: the folder exists.
    """
    spec = pipeline.spec
    sections = [page.table(["figure", "value", "95 % interval"], _headline(scores))]
    if scores.per_class:
        sections += [page.heading("Classes"), _per_class(scores)]
    if curves := scores.details.get("pr_curves"):
        lines = {label: (curve["recall"], curve["precision"]) for label, curve in curves.items()}
        sections += [page.heading("Precision and recall, IoU 0.5"), charts.curves(lines, "recall", "precision")]
    if (counts := scores.details.get("confusion")) is not None:
        sections += [page.heading("Confusion"), charts.confusion(spec.labels, spec.labels, counts)]
    first = results[0]
    if isinstance(first, Classification):
        sections += classified(samples, results)  # type: ignore[arg-type]
    elif isinstance(first, Detections):
        threshold = scores.details["at_threshold"]["score_threshold"]
        sections += detected(samples, results, threshold, scoring(spec.task).truth_result)  # type: ignore[arg-type]
    elif isinstance(first, SemanticMap):
        sections += mapped(samples, results, scoring(spec.task).truth_result)  # type: ignore[arg-type]
    with staged_folder(out) as folder:
        (folder / "report.html").write_text(page.page(title, sections), encoding="utf-8")
    return out / "report.html"


def _headline(scores: Scores) -> list[list[str]]:
    rows = []
    for name, value in scores.values.items():
        between = scores.intervals_95.get(name)
        rows.append([name, f"{value:.4f}", f"{between[0]:.4f} to {between[1]:.4f}" if between else ""])
    return rows


def _per_class(scores: Scores) -> str:
    names = list(dict.fromkeys(name for figures in scores.per_class.values() for name in figures))
    rows = [
        [label, *(f"{of[name]:.4g}" if name in of else "" for name in names)] for label, of in scores.per_class.items()
    ]
    return page.table(["class", *names], rows)
