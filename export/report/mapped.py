"""Gallery of a semantic segmenter (`mapped`): the worst images, and the largest regions that differ from the truth."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from foveal.export.report import page
from foveal.export.report.panels import UInt8Array, crop, shown, smaller
from foveal.imaging.sources import load
from foveal.metrics.semantic import IGNORE, confusion, mean_iou
from foveal.models.data.dataset import Sample
from foveal.results import Result
from foveal.tasks.semantic_segmentation import SemanticMap

IMAGES, REGIONS = 8, 12
SIDE_PX = 300
REGION_PX = 210
SEAM = 0.01  # of the shorter side: thinner disagreement lies along edges and is no region
RED = np.array([230, 30, 30])


def mapped(
    samples: Sequence[Sample[Any]],
    results: Sequence[SemanticMap],
    truth_result: Callable[[Any, tuple[str, ...], tuple[int, int]], Result],
) -> list[str]:
    """Sections of a page."""
    quality, regions = [], []
    labels = results[0].labels
    for i, (sample, result) in enumerate(zip(samples, results, strict=True)):
        truth = sample.truth.read()
        quality.append(mean_iou(confusion(result.class_map, truth, len(labels))))
        regions += [(area, i, box, words) for area, box, words in _regions(truth, result)]
    worst = np.argsort(quality, kind="stable")[:IMAGES].tolist()
    rows = []
    for i in worst:
        truth = truth_result(samples[i].truth, labels, results[i].image_hw)
        rows.append(
            page.images(
                [
                    (shown(samples[i].path, truth, side_px=SIDE_PX), f"{samples[i].name}: truth"),
                    (shown(samples[i].path, results[i], side_px=SIDE_PX), f"mean IoU {quality[i]:.3f}"),
                    (_errors(samples[i], results[i]), "wrong pixels"),
                ]
            )
        )
    figures = []
    for area, i, box, words in sorted(regions, key=lambda region: -region[0])[:REGIONS]:
        truth = truth_result(samples[i].truth, labels, results[i].image_hw)
        rgb = load(samples[i].path).rgb
        pair = [crop(drawn, box, side_px=REGION_PX) for drawn in (rgb, truth.overlay(rgb), results[i].overlay(rgb))]
        gap = np.full((len(pair[0]), 4, 3), 255, np.uint8)
        figures.append(
            (np.concatenate([pair[0], gap, pair[1], gap, pair[2]], axis=1), f"{words}, {area} px ({samples[i].name})")
        )
    return [
        page.heading("The worst images"),
        *rows,
        page.heading("The largest regions of another class"),
        page.paragraph("Image, truth, answer. Errors of the model, or of the truth: look at both."),
        page.images(figures),
    ]


def _regions(truth: UInt8Array, result: SemanticMap) -> list[tuple[int, npt.NDArray[np.float32], str]]:
    """(px, box, words) of connected pixels that one class of the truth has and another of the answer."""
    labels = result.labels
    wrong = (truth != IGNORE) & (truth != result.class_map)
    reach = max(1, round(SEAM * min(truth.shape)))
    core = cv2.erode(wrong.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    if not core.any():
        return []
    found = []
    pairs = np.unique(truth[core > 0].astype(np.int64) * len(labels) + result.class_map[core > 0])
    for pair in pairs.tolist():
        true, said = divmod(pair, len(labels))
        where = wrong & (truth == true) & (result.class_map == said)
        count, _, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8))
        for x, y, w, h, area in stats[1:count].tolist():
            if area > (2 * reach + 1) ** 2:
                box = np.array([x, y, x + w, y + h], np.float32)
                found.append((int(area), box, f"{labels[true]} taken for {labels[said]}"))
    return found


def _errors(sample: Sample[Any], result: SemanticMap) -> UInt8Array:
    """The image with its wrong pixels in red."""
    rgb = load(sample.path).rgb.copy()
    truth = sample.truth.read()
    wrong = (truth != IGNORE) & (truth != result.class_map)
    rgb[wrong] = (0.25 * rgb[wrong] + 0.75 * RED).astype(np.uint8)
    return smaller(rgb, SIDE_PX)
