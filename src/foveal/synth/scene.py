"""Scenes (`Scene`): a drawn image and its ground truth.

The truth is what can be SEEN in the drawing: a pixel belongs to the topmost outline that contains the pixel's centre.
Edges are blended into what lies below (a pixel whose centre is inside shows at least half of its owner), so images
have no staircase edges and the truth still has no doubt. Photographic effects laid over the finished drawing (blur,
noise, vignette) move no truth.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One drawing and its truth. Instances are numbered in drawing order; hidden things are not among them."""

    rgb: UInt8Array  # (H, W, 3)
    class_map: UInt8Array  # (H, W) index into map_labels
    instance_map: npt.NDArray[np.uint16]  # (H, W): 0 is no instance, k is instance k - 1
    class_ids: npt.NDArray[np.int64]  # (N,) index into labels, one an instance
    labels: tuple[str, ...]  # of instances; no background among them
    map_labels: tuple[str, ...]  # of the class map; whatever lies below the instances included

    def __len__(self) -> int:
        return len(self.class_ids)

    @property
    def image_hw(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.instance_map.shape
        return height, width

    @property
    def boxes_xyxy(self) -> npt.NDArray[np.float32]:
        """(N, 4) tight boxes around the visible pixels, as continuous edges: pixel i spans [i, i + 1]."""
        boxes = np.zeros((len(self), 4), np.float32)
        for i in range(len(self)):
            mask = self.mask(i)
            columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
            boxes[i] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes

    def mask(self, index: int) -> npt.NDArray[np.bool_]:
        """(H, W) visible pixels of one instance."""
        return self.instance_map == index + 1

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """(N, H, W) visible pixels of every instance; made for tests, memory grows with N."""
        return self.instance_map[None] == np.arange(1, len(self) + 1)[:, None, None]
