"""Non-maximum suppression: Foveal's NumPy against torchvision, OpenCV and the textbook loop, in one run, alternating.

Boxes of 5 to 80 px scattered over 600 x 600 px (crowded), IoU 0.5. `limit 300` is what a request gets: at most 300
detections. Median CPU milliseconds (other work on the machine counts less in them than in wall time), one thread;
ratios are to torchvision's. Foveal and the textbook loop are checked to keep torchvision's boxes.

    python benchmarks/nms.py
"""

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
import torchvision

from foveal.imaging.boxes import nms

IOU = 0.5
ROUNDS = 15
Boxes = tuple[np.ndarray, np.ndarray, np.ndarray]


def scattered(count: int, classes: int) -> Boxes:
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 600, (count, 2))
    edges = np.hstack([corner, corner + rng.uniform(5, 80, (count, 2))]).astype(np.float32)
    return edges, rng.random(count, np.float32), rng.integers(0, classes, count)


def with_torchvision(edges: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    tensors = map(torch.from_numpy, (edges, scores, class_ids))
    return torchvision.ops.batched_nms(*tensors, IOU).numpy()


def with_opencv(edges: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    xywh = np.hstack([edges[:, :2], edges[:, 2:] - edges[:, :2]])
    return np.array(cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), class_ids.tolist(), 0.0, IOU))


def textbook(edges: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """One kept box at a time against all that are left: what most NumPy snippets do."""
    area = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    left, kept = np.argsort(-scores, kind="stable"), []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        top = np.maximum(edges[best, :2], edges[left, :2])
        bottom = np.minimum(edges[best, 2:], edges[left, 2:])
        inter = np.prod(np.maximum(bottom - top, 0), axis=1)
        overlap = inter / (area[best] + area[left] - inter)
        left = left[(overlap <= IOU) | (class_ids[left] != class_ids[best])]
    return np.array(kept)


WAYS: dict[str, Callable[..., np.ndarray]] = {
    "torchvision.ops.batched_nms": with_torchvision,
    "Foveal": lambda *boxes: nms(*boxes, IOU),
    "Foveal, limit 300": lambda *boxes: nms(*boxes, IOU, limit=300),
    "cv2.dnn.NMSBoxesBatched": with_opencv,
    "textbook NumPy loop": textbook,
}


def milliseconds(boxes: Boxes) -> dict[str, float]:
    """Median of each way; the ways take turns, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            start = time.process_time()
            way(*boxes)
            times[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print("| boxes | classes | way | CPU ms | ratio | kept |\n|---|---|---|---|---|---|")
    for count, classes in ((1000, 1), (1000, 3), (3000, 1), (3000, 3), (3000, 80)):
        boxes = scattered(count, classes)
        kept = {name: way(*boxes) for name, way in WAYS.items()}
        reference = kept["torchvision.ops.batched_nms"]
        for name in ("Foveal", "textbook NumPy loop"):
            assert set(kept[name].tolist()) == set(reference.tolist()), name
        times = milliseconds(boxes)
        for name, ms in times.items():
            ratio = ms / times["torchvision.ops.batched_nms"]
            print(f"| {count} | {classes} | {name} | {ms:.2f} | {ratio:.2f} | {len(kept[name])} |")


if __name__ == "__main__":
    main()
