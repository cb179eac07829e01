"""Pydantic schemas that the entries of several tasks share: scores, boxes, masks."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Box = Annotated[list[float], Field(min_length=4, max_length=4)]
Score = Annotated[float, Field(ge=0, le=1)]


class Schema(BaseModel):
    """Base of all public schemas: nothing undocumented may stand in an answer."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ImageInfo(Schema):
    """The image as it was read. Sizes are those after EXIF orientation; pixel coordinates refer to them."""

    name: str | None = Field(description="as the client gave it; null for a raw body")
    width: int
    height: int
    exif_orientation: int = Field(ge=1, le=8, description="what the file said; it has been applied")


class Entry(Schema):
    """Base of all entries: the image that the result is about."""

    image: ImageInfo


class PngMask(Schema):
    """A PNG file in base64."""

    format: Literal["png"]
    base64: str


class RleMask(Schema):
    """COCO compressed run lengths, columns first."""

    format: Literal["rle"]
    size: tuple[int, int] = Field(description="[height, width]")
    counts: str


class PolygonMask(Schema):
    """Rings along pixel edges; holes are rings of their own, to be filled by the even-odd rule."""

    format: Literal["polygon"]
    polygons: list[list[tuple[float, float]]]
