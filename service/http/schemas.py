"""Schemas of request bodies, errors and model descriptions; those of results are in foveal.tasks."""

from typing import Any

from pydantic import Field

from foveal.tasks.schemas import Schema


class JsonImage(Schema):
    """One image of a JSON body."""

    base64: str = Field(description="the file's bytes in base64 (RFC 4648, with padding)")
    name: str | None = Field(None, description="comes back as image.name")


class JsonBody(Schema):
    """`Content-Type: application/json`."""

    images: list[JsonImage]


class FailedImage(Schema):
    """An image that failed keeps its name only."""

    name: str | None


class EntryError(Schema):
    """Why one image among several failed."""

    status: int
    title: str
    detail: str


class FailedEntry(Schema):
    """Stands in the place of an image's result."""

    image: FailedImage
    error: EntryError


class Provider(Schema):
    """Where the graph runs. They differ only when the fallback is allowed."""

    requested: str
    actual: str


class ModelInfo(Schema):
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


class FailedModel(Schema):
    """A package that is not served, and why."""

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
