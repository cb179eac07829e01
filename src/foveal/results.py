"""What a model says about one image: validated, frozen struct-of-arrays, in pixels of the original after EXIF."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_scored(scores: FloatArray, class_ids: IntArray, labels: Sequence[str]) -> None:
    _expect(scores.ndim == 1 and scores.dtype == np.float32, f"scores: expected (N,) float32, got {scores.shape}")
    _expect(class_ids.shape == scores.shape, f"class_ids: expected shape {scores.shape}, got {class_ids.shape}")
    _expect(class_ids.dtype == np.int64, f"class_ids: expected int64, got {class_ids.dtype}")
    _expect(bool(np.isfinite(scores).all()), "scores: expected finite numbers, got NaN or infinity")
    _expect(bool((scores[:-1] >= scores[1:]).all()), "scores: expected descending order")
    if class_ids.size:
        low, high = int(class_ids.min()), int(class_ids.max())
        _expect(low >= 0 and high < len(labels), f"class_ids: expected 0..{len(labels) - 1}, got {low}..{high}")


@dataclass(frozen=True)
class Classification:
    """The likeliest classes of one image, best first (as many as `top_k` asked for)."""

    scores: FloatArray  # (K,) probabilities in [0, 1], descending
    class_ids: IntArray  # (K,) index into labels
    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        _check_scored(self.scores, self.class_ids, self.labels)

    @property
    def label(self) -> str:
        """The likeliest label."""
        return self.labels[int(self.class_ids[0])]


@dataclass(frozen=True)
class SemanticMap:
    """One class for every pixel of the original image."""

    class_map: npt.NDArray[np.uint8]  # (H, W) index into labels
    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        _expect(
            self.class_map.shape == self.image_hw, f"class_map: expected {self.image_hw}, got {self.class_map.shape}"
        )
        _expect(self.class_map.dtype == np.uint8, f"class_map: expected uint8, got {self.class_map.dtype}")
        highest = int(self.class_map.max()) if self.class_map.size else 0
        _expect(highest < len(self.labels), f"class_map: expected ids below {len(self.labels)}, got {highest}")

    def coverage(self) -> dict[str, float]:
        """Fraction of the image's pixels for each label; sums to 1."""
        counts = np.bincount(self.class_map.ravel(), minlength=len(self.labels))
        return {label: float(n) / self.class_map.size for label, n in zip(self.labels, counts, strict=True)}


@dataclass(frozen=True)
class InstanceMasks:
    """Masks of N instances, kept small: the soft 28 x 28 (any m x m) outputs; full-size bitmaps are made ONE at a time.

    The decoding lives in foveal.imaging.masks, so that results stay plain data.
    """

    soft: FloatArray  # (N, m, m) probabilities in [0, 1], in the box of the same index

    def __post_init__(self) -> None:
        _expect(
            self.soft.ndim == 3 and self.soft.dtype == np.float32, f"soft: expected (N, m, m), got {self.soft.shape}"
        )

    def __len__(self) -> int:
        return len(self.soft)


@dataclass(frozen=True)
class Detections:
    """Boxes of one image, ordered by (-score, class_id, box)."""

    boxes_xyxy: FloatArray  # (N, 4) continuous edges inside the original image
    scores: FloatArray  # (N,) in [0, 1], descending
    class_ids: IntArray  # (N,) index into labels; detectors have no background label
    labels: tuple[str, ...]
    image_hw: tuple[int, int]
    masks: InstanceMasks | None = field(default=None)

    def __post_init__(self) -> None:
        _check_scored(self.scores, self.class_ids, self.labels)
        boxes = self.boxes_xyxy
        _expect(
            boxes.shape == (len(self.scores), 4), f"boxes_xyxy: expected ({len(self.scores)}, 4), got {boxes.shape}"
        )
        _expect(boxes.dtype == np.float32, f"boxes_xyxy: expected float32, got {boxes.dtype}")
        _expect(bool((boxes[:, :2] <= boxes[:, 2:]).all()), "boxes_xyxy: expected x1 <= x2 and y1 <= y2")
        _expect(self.masks is None or len(self.masks) == len(self), "masks: expected one for each box")

    def __len__(self) -> int:
        return len(self.scores)


Result = Classification | SemanticMap | Detections
