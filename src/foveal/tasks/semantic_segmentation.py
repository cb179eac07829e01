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

from foveal.errors import BadRequest
from foveal.imaging import class_map as maps
from foveal.imaging.drawing import colour_of, draw_class_map, draw_lines
from foveal.imaging.preprocess import ImageTransform
from foveal.imaging.tiling import Window
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance, PipelineSpec
from foveal.results import JsonObject, Result, UInt8Array, expect
from foveal.tasks.arrow import mask_member, pyarrow, run_lengths, struct
from foveal.tasks.base import Outputs, Task
from foveal.tasks.schemas import Entry, PngMask, Schema, Score

MASK_FORMATS = ("png", "rle", "none")


@dataclass(frozen=True)
class SemanticMap(Result):
    """One class for every pixel of the original image."""

    class_map: npt.NDArray[np.uint8]  # (H, W) index into labels
    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        shape = self.class_map.shape
        expect(shape == self.image_hw, f"class_map: expected {self.image_hw}, got {shape}")
        expect(self.class_map.dtype == np.uint8, f"class_map: expected uint8, got {self.class_map.dtype}")
        highest = int(self.class_map.max()) if self.class_map.size else 0
        expect(highest < len(self.labels), f"class_map: expected ids below {len(self.labels)}, got {highest}")

    def coverage(self) -> dict[str, float]:
        """Fraction of the image's pixels for each label; sums to 1."""
        counts = np.bincount(self.class_map.ravel(), minlength=len(self.labels))
        return {label: float(n) / self.class_map.size for label, n in zip(self.labels, counts, strict=True)}

    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """{"segmentation": {"labels", "mask", "coverage"}}; `mask_format`: png (default), rle or none.

        Raises:
            BadRequest: mask_format=polygon, which is for instances.
        """
        mask_format = mask_format or "png"
        if mask_format not in MASK_FORMATS:
            raise BadRequest(f"parameter 'mask_format': expected one of {', '.join(MASK_FORMATS)}, got {mask_format!r}")
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
        coverage = sorted(self.coverage().items(), key=lambda item: -item[1])
        lines = [f"{label} {share:.1%}" for label, share in coverage if share > 0]
        draw_lines(drawn, lines, [colour_of(self.labels.index(label)) for label, share in coverage if share > 0])


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
            purpose="Assigns one of {count} classes to every pixel of an image.",
            limit="Every pixel gets one of its classes, also where none of them fits.",
            summary_title="mean share of an image",
        )

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
