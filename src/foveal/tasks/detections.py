"""Detections: the result of object detection and, with masks, of instance segmentation."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from foveal.imaging.drawing import Pen, colour_of, draw_box, draw_label, draw_mask
from foveal.imaging.masks import RENDERERS, Bitmap, paste, rle
from foveal.results import FloatArray, IntArray, JsonObject, Result, UInt8Array, expect, expect_scored, optional

Rows = slice | npt.NDArray[Any] | list[bool] | list[int]


@dataclass(frozen=True)
class InstanceMasks:
    """Masks of N instances, kept small: the soft 28 x 28 (any m x m) outputs.

    Full-size bitmaps are made ONE at a time (`Detections.bitmap`): those of a crowded image would fill gigabytes.
    """

    soft: FloatArray  # (N, m, m) probabilities in [0, 1], in the box of the same index

    def __post_init__(self) -> None:
        expect(
            self.soft.ndim == 3 and self.soft.dtype == np.float32, f"soft: expected (N, m, m), got {self.soft.shape}"
        )

    def __len__(self) -> int:
        return len(self.soft)


@dataclass(frozen=True)
class DetectedObject:
    """One object of a `Detections`."""

    label: str
    class_id: int
    score: float
    box_xyxy: tuple[float, float, float, float]  # continuous edges, pixels of the original image
    mask: Bitmap | None  # its pixels; None: the model gives no masks


@dataclass(frozen=True)
class Detections(Result):
    """Objects of one image, ordered by (-score, class_id, box).

    Iterating gives one `DetectedObject` after the other; an index, slice, boolean mask or list of indices selects, as
    in NumPy, and keeps the order by score.
    """

    boxes_xyxy: FloatArray  # (N, 4) continuous edges inside the original image
    scores: FloatArray  # (N,) in [0, 1], descending
    class_ids: IntArray  # (N,) index into labels; detectors have no background label
    labels: tuple[str, ...]
    image_hw: tuple[int, int]
    masks: InstanceMasks | None = field(default=None)

    def __post_init__(self) -> None:
        expect_scored(self.scores, self.class_ids, self.labels)
        boxes = self.boxes_xyxy
        shape = (len(self.scores), 4)
        expect(boxes.shape == shape, f"boxes_xyxy: expected {shape}, got {boxes.shape}")
        expect(boxes.dtype == np.float32, f"boxes_xyxy: expected float32, got {boxes.dtype}")
        expect(bool((boxes[:, :2] <= boxes[:, 2:]).all()), "boxes_xyxy: expected x1 <= x2 and y1 <= y2")
        expect(self.masks is None or len(self.masks) == len(self), "masks: expected one for each box")

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[DetectedObject]:
        """Best first."""
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, rows: int) -> DetectedObject: ...
    @overload
    def __getitem__(self, rows: Rows) -> "Detections": ...
    def __getitem__(self, rows: int | Rows) -> "DetectedObject | Detections":
        """One object, or a selection of them. Raises IndexError as NumPy does."""
        if isinstance(rows, int | np.integer):
            return self._object(range(len(self))[rows])
        chosen = np.unique(np.arange(len(self))[rows])  # ascending: by score, each once
        soft = None if self.masks is None else InstanceMasks(self.masks.soft[chosen])
        return Detections(
            self.boxes_xyxy[chosen], self.scores[chosen], self.class_ids[chosen], self.labels, self.image_hw, soft
        )

    @property
    def top_score(self) -> float | None:
        """The best score; None without objects."""
        return float(self.scores[0]) if len(self) else None

    def bitmap(self, index: int) -> Bitmap:
        """The pixels of one instance."""
        assert self.masks is not None, "expected a result with masks"
        return paste(self.masks.soft[index], self.boxes_xyxy[index], self.image_hw)

    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """{"detections": [{"label", "class_id", "score", "box": [x1, y1, x2, y2]}, …]}, best first.

        With masks also "area_px" (pixels of the mask) and "mask" in `mask_format`: rle (default), polygon, png, none.
        """
        return {"detections": [self._rendered(i, mask_format or "rle") for i in range(len(self))]}

    def rows(self) -> list[Mapping[str, object]]:
        """One row an object; rank counts from 1."""
        rows: list[Mapping[str, object]] = []
        for rank, row in enumerate(self.to_dict(mask_format="none")["detections"], 1):
            box = dict(zip(("x1", "y1", "x2", "y2"), row.pop("box"), strict=True))
            rows.append({"rank": rank, **row, **box})
        return rows

    def summary(self) -> Mapping[str, float]:
        """Label -> number of objects."""
        return dict(Counter(self.labels[i] for i in self.class_ids))

    def paint(self, drawn: UInt8Array) -> None:
        """Masks, boxes, then labels; of two that meet the better scored is on top."""
        pen = Pen.of(self.image_hw)
        colours = [colour_of(int(i)) for i in self.class_ids]
        weakest_first = range(len(self) - 1, -1, -1)  # the best ends on top
        if self.masks is not None:
            for i in weakest_first:
                draw_mask(drawn, self.bitmap(i), colours[i], pen)
        for i in weakest_first:
            draw_box(drawn, self.boxes_xyxy[i], colours[i], pen)
        free = np.ones(self.image_hw, bool)
        for i in range(len(self)):  # the best label gets the best place
            text = f"{self.labels[int(self.class_ids[i])]} {self.scores[i]:.2f}"
            draw_label(drawn, text, self.boxes_xyxy[i], colours[i], pen, free)

    def coco_row(self, index: int) -> JsonObject:
        """One object as a COCO result, without ids: class_id, bbox (x, y, width, height), score, segmentation."""
        x1, y1, x2, y2 = (round(float(edge), 2) for edge in self.boxes_xyxy[index])
        row: JsonObject = {
            "class_id": int(self.class_ids[index]),
            "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
            "score": round(float(self.scores[index]), 6),
        }
        if self.masks is not None:
            row["segmentation"] = rle(self.bitmap(index))
        return row

    def to_supervision(self) -> Any:
        """As supervision.Detections, `data["class_name"]` included; masks at full size, (N, H, W) bool.

        Raises:
            FovealError: supervision is not installed.
        """
        sv = optional("supervision", "to_supervision")
        full = None
        if self.masks is not None:
            full = np.zeros((len(self), *self.image_hw), bool)
            for i in range(len(self)):
                full[i] = self.bitmap(i).full()
        return sv.Detections(
            xyxy=self.boxes_xyxy.copy(),
            mask=full,
            confidence=self.scores.copy(),
            class_id=self.class_ids.copy(),
            data={"class_name": np.array([self.labels[i] for i in self.class_ids], dtype=str)},
        )

    def _object(self, index: int) -> DetectedObject:
        class_id = int(self.class_ids[index])
        x1, y1, x2, y2 = self.boxes_xyxy[index].tolist()
        mask = None if self.masks is None else self.bitmap(index)
        return DetectedObject(self.labels[class_id], class_id, float(self.scores[index]), (x1, y1, x2, y2), mask)

    def _rendered(self, index: int, mask_format: str) -> JsonObject:
        """One object's JSON members, rounded: scores to 6 decimals, boxes to 2."""
        class_id = int(self.class_ids[index])
        rendered: JsonObject = {
            "label": self.labels[class_id],
            "class_id": class_id,
            "score": round(float(self.scores[index]), 6),
            "box": [round(float(edge), 2) for edge in self.boxes_xyxy[index]],
        }
        if self.masks is not None:
            bitmap = self.bitmap(index)
            rendered["area_px"] = bitmap.area_px
            if mask_format != "none":
                rendered["mask"] = RENDERERS[mask_format](bitmap)
        return rendered
