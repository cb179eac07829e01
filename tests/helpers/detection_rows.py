"""Rows of detections, as two-stage graphs give them, for tests of matching."""

import numpy as np

from foveal.options import Options
from foveal.tasks.base import Outputs

OPTIONS = Options(score_threshold=0.05, iou_threshold=0.5)
EVERY_CANDIDATE = Options(score_threshold=0.05, iou_threshold=1.0)


def detections(count: int = 40, *, seed: int = 0, masks: bool = True) -> dict[str, np.ndarray]:
    """Boxes of two classes on a 400 px model input, scores well above the threshold, blobs as masks."""
    random = np.random.default_rng(seed)
    corner, side = random.uniform(0, 300, (count, 2)), random.uniform(8, 100, (count, 2))
    rows = {
        "boxes": np.concatenate((corner, corner + side), 1).astype(np.float32),
        "scores": np.sort(random.uniform(0.1, 1, count).astype(np.float32))[::-1].copy(),
        "class_ids": random.integers(0, 2, count),
    }
    if masks:
        y, x = np.mgrid[-1:1:28j, -1:1:28j]
        rows["masks"] = np.stack([1 / (1 + np.exp(9 * (x**2 + y**2 - r))) for r in random.uniform(0.3, 1, count)])
        rows["masks"] = rows["masks"].astype(np.float32)
    return rows


def only(rows: Outputs, keep: np.ndarray) -> dict[str, np.ndarray]:
    return {name: value[keep] for name, value in rows.items()}


def boxes_of(*rows: tuple[float, float, float, float, float]) -> dict[str, np.ndarray]:
    """One class; x1, y1, x2, y2, score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return {"boxes": table[:, :4], "scores": table[:, 4], "class_ids": np.zeros(len(table), np.int64)}
