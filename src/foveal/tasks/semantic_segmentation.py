"""Semantic segmentation: one class for every pixel of the original image."""

from collections.abc import Iterable, Mapping, Sequence

from foveal.errors import BadRequest
from foveal.imaging import class_map as maps
from foveal.imaging.preprocess import ImageTransform
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance, Manifest
from foveal.results import Result, SemanticMap
from foveal.tasks.base import Array, JsonObject, Outputs, Prepared, split_rows, stack_inputs

RENDERERS = ("png", "rle", "none")


class SemanticSegmentationTask:
    """Graph: `images` (N, H, W, 3) uint8 -> `class_map` (N, h, w) uint8 and `confidence` (N, h, w) uint8.

    The winner is chosen inside the graph: two small integers leave it for each pixel, not C float planes. `confidence`
    is the winner's probability in 255ths.
    """

    name = "semantic-segmentation"
    endpoint = "segment"
    option_names = frozenset({"mask_format", "tile"})
    csv_columns: tuple[str, ...] = ("label", "class_id", "coverage")

    def batch_key(self, options: Options) -> object:
        """Any two requests may share a batch."""
        return None

    def feeds(self, batch: Sequence[Prepared], options: Sequence[Options], manifest: Manifest) -> dict[str, Array]:
        """Graph inputs for N images."""
        return {"images": stack_inputs(batch)}

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """Batched outputs -> one mapping an image."""
        return split_rows(outputs, count)

    def decode(self, outputs: Outputs, transform: ImageTransform, manifest: Manifest, options: Options) -> SemanticMap:
        """The model input's map -> a map of exactly the image's size and orientation."""
        return SemanticMap(maps.to_image(outputs["class_map"], transform), manifest.labels, transform.image_hw)

    def render(self, result: Result, options: Options) -> JsonObject:
        """{"segmentation": {"labels", "mask" or "masks", "coverage"}}; `mask_format`: png (default), rle or none.

        Raises:
            BadRequest: mask_format=polygon, which is for instances.
        """
        assert isinstance(result, SemanticMap)
        mask_format = options.mask_format or "png"
        if mask_format not in RENDERERS:
            raise BadRequest(f"parameter 'mask_format': expected one of {', '.join(RENDERERS)}, got {mask_format!r}")
        rendered: JsonObject = {"labels": list(result.labels)}
        if mask_format == "png":
            rendered["mask"] = maps.png(result.class_map)
        if mask_format == "rle":
            rendered["mask"] = {"format": "rle", "classes": maps.rles(result.class_map, result.labels)}
        rendered["coverage"] = {label: round(share, 6) for label, share in result.coverage().items()}
        return {"segmentation": rendered}

    def csv_rows(self, rendered: JsonObject) -> Iterable[Mapping[str, object]]:
        """One row a label: its share of the image."""
        coverage = rendered["segmentation"]["coverage"]
        return ({"label": name, "class_id": i, "coverage": v} for i, (name, v) in enumerate(coverage.items()))

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
