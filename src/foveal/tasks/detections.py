"""Detections: the result of object detection and, with masks, of instance segmentation."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from foveal.cancellation import checkpoint
from foveal.errors import BadRequest
from foveal.imaging.drawing import Pen, colour_of, draw_box, draw_label, draw_mask
from foveal.imaging.masks import RENDERERS, Bitmap, rle
from foveal.options import MASK_FORMATS
from foveal.results import (
    FloatArray,
    IntArray,
    JsonObject,
    Result,
    UInt8Array,
    chosen_mask_format,
    expect,
    expect_scored,
    optional,
    size_in_words,
)
from foveal.tasks.instance_masks import Masks

if TYPE_CHECKING:
    import pandas

Rows = slice | npt.NDArray[Any] | Sequence[bool] | Sequence[int]


@dataclass(frozen=True)
class DetectedObject:
    """One object of a `Detections`.

    Attributes:
        label: its name.
        class_id: index into the model's labels.
        score: in [0, 1].
        box_xyxy: (x1, y1, x2, y2), pixels of the original image; continuous edges: the whole image is
            (0, 0, width, height).
        mask: its pixels; None where the model gives no masks. `mask.full()` is (H, W) uint8 of 0 and 1, the image's
            size; `mask.area_px` their number; `mask.roi`, `mask.top` and `mask.left` are the part that may be set.

    Example:
        >>> import foveal
        >>> cell = foveal.load("nuclei")("examples/nuclei.png")[0]
        >>> cell.label, cell.mask.full().shape, bool(cell.mask.area_px == cell.mask.full().sum())
        ('nucleus', (360, 480), True)
    """

    label: str
    class_id: int
    score: float
    box_xyxy: tuple[float, float, float, float]
    mask: Bitmap | None = field(repr=False, compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Result):
    """Objects of one image, ordered by (-score, class_id, box); of object detection and instance segmentation.

    Iterating gives one `DetectedObject` after the other; `len` is their number. `found[0]` is the best;
    a slice, boolean mask or list of indices selects, as in NumPy, but keeps the order by score and each object once.

    Attributes:
        boxes_xyxy: (N, 4) float32, continuous edges in pixels, inside the original image.
        scores: (N,) float32 in [0, 1], descending.
        class_ids: (N,) int64, index into labels; there is no background label.
        labels: class id -> label, of the model.
        image_hw: (height, width) of the original image.
        masks: as the model gave them, small; None: no masks. `bitmap` makes pixels of them.

    Example:
        >>> import foveal
        >>> found = foveal.load("blood-cells")("examples/blood-cells.png", score_threshold=0.6)
        >>> found
        <Detections: 24 objects (2 WBC, 21 RBC, 1 Platelets); image 640 x 480 px>
        >>> found[0].label, len(found[found.scores > 0.9]), len(found[:3])
        ('WBC', 22, 3)
        >>> red = found[found.class_ids == found.labels.index("RBC")]
        >>> len(red), min(cell.score for cell in red) > 0.9
        (21, True)
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    class_ids: IntArray
    labels: tuple[str, ...]
    image_hw: tuple[int, int]
    masks: Masks | None = None

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
        """One object, or a selection of them.

        Raises:
            IndexError: an integer that is out of range. BadRequest: what selects no objects: a mask of another length,
                a list with an index out of range, text, a float.
        """
        if isinstance(rows, int | np.integer) and not isinstance(rows, bool):
            return self._object(range(len(self))[rows])
        chosen = self._chosen(rows)
        masks = None if self.masks is None else self.masks.chosen(chosen)
        return Detections(
            self.boxes_xyxy[chosen], self.scores[chosen], self.class_ids[chosen], self.labels, self.image_hw, masks
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {label}" for label, count in self.summary().items())
        what = f"{len(self)} object{'' if len(self) == 1 else 's'}{' with masks' if self.masks is not None else ''}"
        return f"<Detections: {what}{f' ({counts})' if counts else ''}; {size_in_words(self.image_hw)}>"

    @property
    def top_score(self) -> float | None:
        """The best score; None without objects."""
        return float(self.scores[0]) if len(self) else None

    def bitmap(self, index: int) -> Bitmap:
        """The pixels of one instance, as `DetectedObject.mask`.

        Args:
            index: of the object, from 0.

        Raises:
            BadRequest: the model gives no masks. IndexError: out of range.

        Example:
            >>> import foveal
            >>> found = foveal.load("nuclei")("examples/nuclei.png")
            >>> found.bitmap(0).full().shape
            (360, 480)
        """
        if self.masks is None:
            raise BadRequest("expected a result with masks: one of instance segmentation")
        checkpoint()  # whoever renders or draws masks comes through here for each
        return self.masks.bitmap(index, self.boxes_xyxy[index], self.image_hw)

    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """{"detections": [{"label", "class_id", "score", "box": [x1, y1, x2, y2]}, …]}, best first.

        With masks also "area_px" (pixels of the mask) and "mask" in `mask_format`: rle (default), polygon, png, none;
        see `Result.to_dict`.
        """
        chosen = chosen_mask_format(mask_format, MASK_FORMATS, "rle")
        return {"detections": [self._rendered(i, chosen) for i in range(len(self))]}

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
        """As supervision.Detections.

        Returns:
            xyxy (N, 4), confidence (N,), class_id (N,) and data["class_name"] (N,); with masks also mask (N, H, W)
            bool, at full size: that many bytes.

        Raises:
            FovealError: supervision is not installed.

        Example:
            >>> import foveal
            >>> found = foveal.load("blood-cells")("examples/blood-cells.png", score_threshold=0.6)
            >>> theirs = found.to_supervision()
            >>> len(theirs), str(theirs.data["class_name"][0])
            (24, 'WBC')
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

    def to_pandas(self) -> "pandas.DataFrame":
        """`rows` as a pandas.DataFrame; see `Result.to_pandas`."""
        types = {"rank": int, "label": str, "class_id": int, "score": float}
        types |= dict.fromkeys(("x1", "y1", "x2", "y2"), float) | ({} if self.masks is None else {"area_px": int})
        make = optional("pandas", "to_pandas").DataFrame
        table: pandas.DataFrame = make(self.rows(), columns=list(types)).astype(types)  # typed without rows too
        return table

    def _chosen(self, rows: bool | Rows) -> IntArray:
        """Indices, ascending (which is by score), each once."""
        try:
            picked = None if rows is None or isinstance(rows, bool | np.bool_) else np.arange(len(self))[rows]
        except (IndexError, TypeError, ValueError) as error:  # NumPy's, by what is wrong
            raise BadRequest(f"{_indexing(len(self))}: {error}") from None
        if picked is None or picked.ndim != 1:
            raise BadRequest(f"{_indexing(len(self))}, got {rows!r:.60}")
        return np.unique(picked)

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


def _indexing(count: int) -> str:
    return f"expected an index, a slice, a mask of {count} truth values or a list of indices 0..{count - 1}"
