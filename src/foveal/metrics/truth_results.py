"""Truths as results (`class_truth`, `object_truth`, `map_truth`): drawn and cropped as what models answer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foveal.imaging.masks import Bitmap, rle_bitmap
from foveal.metrics.semantic import IGNORE, TruthMap
from foveal.metrics.truth import ObjectTruth, Rle
from foveal.tasks.classification import Classification
from foveal.tasks.detections import Detections
from foveal.tasks.semantic_segmentation import SemanticMap


@dataclass(frozen=True)
class TruthMasks:
    """Masks of N objects as annotated."""

    rles: tuple[Rle, ...]

    def __len__(self) -> int:
        return len(self.rles)

    def chosen(self, rows: npt.NDArray[np.int64]) -> "TruthMasks":
        """Those of some objects."""
        return TruthMasks(tuple(self.rles[int(i)] for i in rows))

    def bitmap(self, index: int, box_xyxy: npt.NDArray[np.float32], image_hw: tuple[int, int]) -> Bitmap:
        """The pixels of one, in the whole image."""
        return Bitmap(rle_bitmap(self.rles[index]), 0, 0, image_hw)


def class_truth(truth: int, labels: tuple[str, ...], image_hw: tuple[int, int]) -> Classification:
    """The one class, with a score of 1."""
    return Classification(np.ones(1, np.float32), np.array([truth], np.int64), labels, image_hw)


def object_truth(truth: ObjectTruth, labels: tuple[str, ...], image_hw: tuple[int, int]) -> Detections:
    """All objects, with a score of 1; crowds too."""
    limit = np.array([image_hw[1], image_hw[0]] * 2, np.float32)
    boxes = np.clip(truth.boxes_xyxy, 0, limit).astype(np.float32)
    masks = None if truth.masks is None else TruthMasks(truth.masks)
    return Detections(boxes, np.ones(len(truth), np.float32), truth.class_ids, labels, image_hw, masks)


def map_truth(truth: TruthMap, labels: tuple[str, ...], image_hw: tuple[int, int]) -> SemanticMap:
    """The class map; what has no label is a class of its own."""
    class_map = truth.read()
    if not (class_map == IGNORE).any():
        return SemanticMap(class_map, labels, image_hw)
    return SemanticMap(
        np.where(class_map == IGNORE, len(labels), class_map).astype(np.uint8), (*labels, "no label"), image_hw
    )
