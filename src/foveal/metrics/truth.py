"""Ground truth of the objects of one image (`ObjectTruth`): boxes, classes, crowds, masks as COCO run lengths."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.imaging import masks

Rle = dict[str, Any]  # {"size": [H, W], "counts": "…"}: compressed, as pycocotools reads it


@dataclass(frozen=True)
class ObjectTruth:
    """The annotated objects of one image, in its original pixels after EXIF. No objects is a valid truth."""

    boxes_xyxy: npt.NDArray[np.float32]  # (N, 4) continuous edges
    class_ids: npt.NDArray[np.int64]  # (N,) from 0
    image_hw: tuple[int, int]
    iscrowd: npt.NDArray[np.bool_] | None = None  # (N,) neither found nor missed counts; None: no crowds
    masks: tuple[Rle, ...] | None = None  # N
    areas_px: npt.NDArray[np.float64] | None = None  # (N,) as annotated; None: of the mask, else of the box

    def __post_init__(self) -> None:
        count = len(self.class_ids)
        if self.boxes_xyxy.shape != (count, 4):
            raise ValueError(f"boxes_xyxy: expected shape ({count}, 4), got {self.boxes_xyxy.shape}")
        for name in ("iscrowd", "masks", "areas_px"):
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise ValueError(f"{name}: expected {count}, one a box, got {len(value)}")

    def __len__(self) -> int:
        return len(self.class_ids)

    @property
    def crowd(self) -> npt.NDArray[np.bool_]:
        """(N,) iscrowd, all False where it was not given."""
        return np.zeros(len(self), bool) if self.iscrowd is None else self.iscrowd

    def areas(self) -> npt.NDArray[np.float64]:
        """(N,) px²: as annotated, else of the mask, else of the box."""
        if self.areas_px is not None:
            return self.areas_px
        if self.masks is not None:
            return np.asarray([masks.rle_area_px(rle) for rle in self.masks], np.float64)
        sides = (self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]).astype(np.float64)
        areas: npt.NDArray[np.float64] = sides[:, 0] * sides[:, 1]
        return areas
