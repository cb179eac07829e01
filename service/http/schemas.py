"""The public contract as types: what goes in and what comes out. The OpenAPI document is generated from these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Box = Annotated[list[float], Field(min_length=4, max_length=4)]
Score = Annotated[float, Field(ge=0, le=1)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class JsonImage(_Schema):
    """One image of a JSON body."""

    base64: str = Field(description="the file's bytes in base64 (RFC 4648, with padding)")
    name: str | None = Field(None, description="comes back as image.name")


class JsonBody(_Schema):
    """`Content-Type: application/json`."""

    images: list[JsonImage]


class ModelRef(_Schema):
    """Which model answered."""

    name: str
    version: str
    task: str
    digest: str = Field(description="sha256 over the package's SHA256SUMS")


class ImageInfo(_Schema):
    """The image as it was read. Sizes are those after EXIF orientation; pixel coordinates refer to them."""

    name: str | None = Field(description="as the client gave it; null for a raw body")
    width: int
    height: int
    exif_orientation: int = Field(ge=1, le=8, description="what the file said; it has been applied")


class FailedImage(_Schema):
    """An image that failed keeps its name only."""

    name: str | None


class EntryError(_Schema):
    """Why one image among several failed."""

    status: int
    title: str
    detail: str


class FailedEntry(_Schema):
    """Stands in the place of an image's result."""

    image: FailedImage
    error: EntryError


class ClassScore(_Schema):
    """One class."""

    label: str
    class_id: int
    score: Score


class ClassificationEntry(_Schema):
    """The likeliest classes, best first."""

    image: ImageInfo
    classes: list[ClassScore]


class PngMask(_Schema):
    """A PNG file in base64."""

    format: Literal["png"]
    base64: str


class RleMask(_Schema):
    """COCO compressed run lengths, columns first."""

    format: Literal["rle"]
    size: tuple[int, int] = Field(description="[height, width]")
    counts: str


class PolygonMask(_Schema):
    """Rings along pixel edges; holes are rings of their own, to be filled by the even-odd rule."""

    format: Literal["polygon"]
    polygons: list[list[tuple[float, float]]]


class ClassRle(_Schema):
    """Where one class is: COCO compressed run lengths."""

    label: str
    class_id: int
    size: tuple[int, int] = Field(description="[height, width]")
    counts: str


class ClassRles(_Schema):
    """One entry for each class that the image shows."""

    format: Literal["rle"]
    classes: list[ClassRle]


class Segmentation(_Schema):
    """One class for each pixel."""

    labels: list[str]
    mask: PngMask | ClassRles | None = Field(None, description="PNG of 8-bit class ids, or one run length a label")
    coverage: dict[str, Score] = Field(description="fraction of the image, by label")


class SemanticEntry(_Schema):
    """A class map of the image's original size."""

    image: ImageInfo
    segmentation: Segmentation


class Detection(_Schema):
    """One object."""

    label: str
    class_id: int
    score: Score
    box: Box = Field(description="[x1, y1, x2, y2] in pixels of the image, continuous edges")


class DetectionEntry(_Schema):
    """Objects by descending score."""

    image: ImageInfo
    detections: list[Detection]


class Instance(Detection):
    """One object with its outline."""

    mask: RleMask | PolygonMask | PngMask | None = None
    area_px: int


class InstanceEntry(_Schema):
    """Objects with masks by descending score."""

    image: ImageInfo
    detections: list[Instance]


ENTRIES: dict[str, type[_Schema]] = {  # task -> what stands under `results` for one image
    "classification": ClassificationEntry,
    "semantic-segmentation": SemanticEntry,
    "object-detection": DetectionEntry,
    "instance-segmentation": InstanceEntry,
}


class Provider(_Schema):
    """Where the graph runs. They differ only when the fallback is allowed."""

    requested: str
    actual: str


class ModelInfo(_Schema):
    """One served model."""

    name: str
    version: str
    task: str
    endpoint: str = Field(description="the path to POST images to")
    default: bool = Field(description="answers requests to the endpoint without ?model=")
    digest: str
    architecture: str
    labels: list[str]
    input: dict[str, Any] = Field(description="model input and how an image is brought to it")
    defaults: dict[str, Any] = Field(description="the parameters of the endpoint and their values when left out")
    metrics: dict[str, Any]
    parity: dict[str, Any] = Field(description="how closely the graph follows the trained model, as measured")
    licences: dict[str, str]
    examples: list[str] = Field(description="paths of images to try it with; its golden images if none is shipped")
    provider: Provider


class FailedModel(_Schema):
    """A package that is not served, and why."""

    model: str
    reason: str


class ModelList(_Schema):
    """GET /v1/models."""

    models: list[ModelInfo]
    failed: list[FailedModel]


class Problem(_Schema):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
