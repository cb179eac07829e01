"""Schemas of request bodies, errors and model descriptions; those of results are in foveal.tasks."""

from typing import Any

from pydantic import Field

from foveal.tasks.schemas import Schema


class JsonImage(Schema):
    """One image of a JSON body."""

    base64: str = Field(description="the file's bytes in base64 (RFC 4648, with padding)")
    name: str | None = Field(None, description="returned as image.name")


class JsonBody(Schema):
    """`Content-Type: application/json`."""

    images: list[JsonImage]


class FailedImage(Schema):
    """Image of a failed entry: its name only."""

    name: str | None


class EntryError(Schema):
    """Error of one image among several."""

    status: int
    title: str
    detail: str


class FailedEntry(Schema):
    """Entry of an image that has no result."""

    image: FailedImage
    error: EntryError


class Provider(Schema):
    """Execution provider of the graph. The two differ only if a fallback is allowed."""

    requested: str
    actual: str


class ModelInfo(Schema):
    """One served model."""

    name: str
    version: str
    task: str
    endpoint: str = Field(description="the path to POST images to")
    default: bool = Field(description="used for requests to the endpoint without ?model=")
    digest: str
    architecture: str
    labels: list[str]
    input: dict[str, Any] = Field(description="size of the model input and preprocessing")
    defaults: dict[str, Any] = Field(description="default values of the endpoint's parameters")
    metrics: dict[str, Any] | None = Field(description="null: of an imported model, not measured")
    parity: dict[str, Any] = Field(description="measured agreement of the graph with the trained model")
    imported: dict[str, Any] | None = Field(
        None, description="where an imported model came from; its member `reference` is null when it is unproved"
    )
    licences: dict[str, str]
    examples: list[str] = Field(description="paths of the images that its package shows it with; may be none")
    provider: Provider


class FailedModel(Schema):
    """A package that could not be loaded, with the reason."""

    model: str
    reason: str


class ModelList(Schema):
    """GET /v1/models."""

    models: list[ModelInfo]
    failed: list[FailedModel]


class Problem(Schema):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
