"""Semantic segmentation: one class for every pixel of the original image.

Graph: `images` (N, H, W, 3) uint8 -> `class_map` (N, h, w) uint8 and `confidence` (N, h, w) uint8. The winner is chosen
inside the graph: two small integers leave it for each pixel, not C float planes. `confidence` is the winner's
probability in 255ths.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from foveal.imaging import class_map as maps
from foveal.imaging.drawing import colour_of, draw_class_map, draw_lines
from foveal.imaging.preprocess import ImageTransform
from foveal.imaging.tiling import Window
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance, PipelineSpec
from foveal.results import JsonObject, Result, UInt8Array, chosen_mask_format, expect, optional, size_in_words
from foveal.tasks.arrow import mask_member, pyarrow, run_lengths, struct
from foveal.tasks.base import Outputs, Task
from foveal.tasks.schemas import Entry, PngMask, Schema, Score

MASK_FORMATS = ("png", "rle", "none")


@dataclass(frozen=True, eq=False, repr=False)
class SemanticMap(Result):
    """One class for every pixel of the original image.

    Attributes:
        class_map: (H, W) uint8, index into labels; the image's size and orientation.
        labels: class id -> label, of the model.
        image_hw: (height, width) of the original image.

    Example:
        >>> import foveal
        >>> ground = foveal.load("aerial-scenes")("examples/aerial-scenes.png")
        >>> ground.class_map.shape == ground.image_hw
        True
        >>> water = ground.class_map == ground.labels.index("water")  # (H, W) of bool
    """

    class_map: npt.NDArray[np.uint8]
    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        shape = self.class_map.shape
        expect(shape == self.image_hw, f"class_map: expected {self.image_hw}, got {shape}")
        expect(self.class_map.dtype == np.uint8, f"class_map: expected uint8, got {self.class_map.dtype}")
        highest = int(self.class_map.max()) if self.class_map.size else 0
        expect(highest < len(self.labels), f"class_map: expected ids below {len(self.labels)}, got {highest}")

    def __repr__(self) -> str:
        shares = ", ".join(f"{label} {share:.1%}" for label, share in self._ranked())
        return f"<SemanticMap: {shares}; {size_in_words(self.image_hw)}>"

    def coverage(self) -> dict[str, float]:
        """Fraction of the image's pixels for each label.

        Returns:
            Label -> [0, 1], in the order of the labels, also those that do not occur; sums to 1.

        Example:
            >>> import foveal
            >>> ground = foveal.load("aerial-scenes")("examples/aerial-scenes.png")
            >>> round(sum(ground.coverage().values()), 9)
            1.0
        """
        counts = np.bincount(self.class_map.ravel(), minlength=len(self.labels))
        return {label: float(n) / self.class_map.size for label, n in zip(self.labels, counts, strict=True)}

    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """{"segmentation": {"labels", "mask", "coverage"}}; `mask_format`: png (default), rle or none.

        Raises:
            BadRequest: mask_format=polygon, which is for instances.
        """
        mask_format = chosen_mask_format(mask_format, MASK_FORMATS, "png")
        rendered: JsonObject = {"labels": list(self.labels)}
        if mask_format == "png":
            rendered["mask"] = maps.png(self.class_map)
        if mask_format == "rle":
            rendered["mask"] = {"format": "rle", "classes": maps.rles(self.class_map, self.labels)}
        rendered["coverage"] = {label: round(share, 6) for label, share in self.coverage().items()}
        return {"segmentation": rendered}

    def rows(self) -> list[Mapping[str, object]]:
        """One row a label: its share of the image."""
        coverage = self.to_dict(mask_format="none")["segmentation"]["coverage"]
        return [{"label": name, "class_id": i, "coverage": v} for i, (name, v) in enumerate(coverage.items())]

    def summary(self) -> Mapping[str, float]:
        """Label -> share of the image."""
        return self.coverage()

    def paint(self, drawn: UInt8Array) -> None:
        """The class map laid over the image, and a legend of the classes that occur, largest first."""
        draw_class_map(drawn, self.class_map, len(self.labels))
        ranked = self._ranked()
        lines = [f"{label} {share:.1%}" for label, share in ranked]
        draw_lines(drawn, lines, [colour_of(self.labels.index(label)) for label, _ in ranked])

    def to_supervision(self) -> Any:
        """As supervision.Detections: one "object" for each class that occurs, with its mask.

        Returns:
            mask (K, H, W) bool, at full size; class_id (K,) ascending; data["class_name"] (K,); xyxy (K, 4), the box
            around all pixels of the class. There is no confidence.

        Raises:
            FovealError: supervision is not installed.

        Example:
            >>> import foveal
            >>> ground = foveal.load("aerial-scenes")("examples/aerial-scenes.png")
            >>> bool(ground.to_supervision().mask.any(axis=0).all())
            True
        """
        sv = optional("supervision", "to_supervision")
        class_ids = np.unique(self.class_map).astype(np.int64)
        masks = self.class_map[None] == class_ids[:, None, None]
        (x1, x2), (y1, y2) = _extent(masks.any(axis=1)), _extent(masks.any(axis=2))
        boxes = np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)
        names = np.array([self.labels[i] for i in class_ids], dtype=str)
        return sv.Detections(xyxy=boxes, mask=masks, class_id=class_ids, data={"class_name": names})

    def _ranked(self) -> list[tuple[str, float]]:
        """Labels that occur with their shares, largest first."""
        return sorted(((label, share) for label, share in self.coverage().items() if share), key=lambda item: -item[1])


def _extent(seen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Of rows of truth values (K, N), each with a true one: where the first stands, and one behind the last."""
    return seen.argmax(axis=1), seen.shape[1] - seen[:, ::-1].argmax(axis=1)


class ClassRle(Schema):
    """Where one class is: COCO compressed run lengths."""

    label: str
    class_id: int
    size: tuple[int, int] = Field(description="[height, width]")
    counts: str


class ClassRles(Schema):
    """One entry for each class that the image shows."""

    format: Literal["rle"]
    classes: list[ClassRle]


class Segmentation(Schema):
    """One class for each pixel."""

    labels: list[str]
    mask: PngMask | ClassRles | None = Field(None, description="PNG of 8-bit class ids, or one run length a label")
    coverage: dict[str, Score] = Field(description="fraction of the image, by label")


class SemanticEntry(Entry):
    """A class map of the image's original size."""

    segmentation: Segmentation


class SemanticSegmentationTask(Task):
    """Class map of the model input -> class map of the image."""

    has_id_map = True

    def __init__(self) -> None:
        super().__init__(
            name="semantic-segmentation",
            endpoint="segment",
            option_names=frozenset({"mask_format", "tile"}),
            columns=("label", "class_id", "coverage"),
            entry=SemanticEntry,
            purpose="Assigns one of {classes} to every pixel of an image.",
            limit="Every pixel gets one of its classes, also where none of them fits.",
            summary_title="mean share of an image",
        )

    def option_schema(self, name: str) -> dict[str, Any]:
        """No polygons of class maps."""
        schema = super().option_schema(name)
        return schema | {"enum": list(MASK_FORMATS)} if name == "mask_format" else schema

    def decode(self, outputs: Outputs, transform: ImageTransform, spec: PipelineSpec, options: Options) -> SemanticMap:
        """The model input's map -> a map of exactly the image's size and orientation."""
        return SemanticMap(maps.to_image(outputs["class_map"], transform), spec.labels, transform.image_hw)

    def join(self, parts: Iterable[tuple[Window, Result]], image_hw: tuple[int, int]) -> SemanticMap:
        """Every pixel from the window in which it lies deepest."""
        whole = np.empty(image_hw, np.uint8)
        labels: tuple[str, ...] = ()
        for window, part in parts:
            assert isinstance(part, SemanticMap)
            window.paste(part.class_map, whole)
            labels = part.labels
        return SemanticMap(whole, labels, image_hw)

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """The share of pixels whose class differs."""
        image_hw = (expected["image"]["height"], expected["image"]["width"])
        want, have = (maps.decode(entry["segmentation"]["mask"], image_hw) for entry in (expected, got))
        if want.shape != have.shape:
            return [f"class map: expected {want.shape}, got {have.shape}"]
        share = float((want != have).mean())
        if share <= tolerance.pixel_fraction:
            return []
        return [f"class map: expected at most {tolerance.pixel_fraction:.2%} of pixels to differ, got {share:.2%}"]

    def arrow_members(self, labels: Sequence[str], mask_format: str | None) -> dict[str, Any]:
        """One struct."""
        pa = pyarrow()
        runs = struct(label=pa.string(), class_id=pa.int32(), **run_lengths())
        mask = mask_member({"png": {"base64": pa.string()}, "rle": {"classes": pa.list_(runs)}}, mask_format or "png")
        coverage = struct(**dict.fromkeys(labels, pa.float64()))
        return {"segmentation": struct(labels=pa.list_(pa.string()), **mask, coverage=coverage)}

    def id_map(self, result: Result) -> npt.NDArray[np.uint8]:
        """Class ids."""
        assert isinstance(result, SemanticMap)
        return result.class_map
