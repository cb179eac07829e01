"""OpenAPI 3.1 document (`document`), generated from the tasks, their options, the schemas and the error classes."""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from foveal import __version__
from foveal.errors import BadImage, BadRequest, FovealError, ImageTooLarge, UnknownName, UnsupportedImage
from foveal.options import OPTIONS
from foveal.service import errors
from foveal.service.http import schemas
from foveal.service.inference.served_model import MEDIA_TYPES, ModelRef
from foveal.tasks import TASKS, Task

REQUEST_ERRORS: tuple[type[FovealError], ...] = (  # every error response of a prediction endpoint
    BadRequest, errors.Unauthorised, UnknownName, errors.MethodNotAllowed, errors.NotAcceptable,
    errors.UploadTooSlow, errors.BodyTooLarge, ImageTooLarge, errors.UnsupportedBody, UnsupportedImage,
    BadImage, errors.Busy, errors.NotReady,
    errors.DeadlineExceeded,
)  # fmt: skip
_REF = "#/components/schemas/{model}"


@cache
def document() -> dict[str, Any]:
    """The document as JSON values."""
    entries = [task.entry for task in TASKS.values()]
    shown: list[type[BaseModel]] = [*entries, schemas.FailedEntry, ModelRef, schemas.JsonBody, schemas.Problem]
    shown += [schemas.ModelList, schemas.ModelInfo]
    _, definitions = models_json_schema([(model, "serialization") for model in shown], ref_template=_REF)
    paths: dict[str, Any] = {f"/v1/{task.endpoint}": {"post": _predict(task)} for task in TASKS.values()}
    paths |= {
        "/v1/models": {"get": _get("All models, served or failed", _json(_ref(schemas.ModelList)))},
        "/v1/models/{name}": {
            "get": _get("One model", _json(_ref(schemas.ModelInfo)), path=("name",), raised=(UnknownName,))
        },
        "/v1/models/{name}/card": {
            "get": _get("The package's CARD.md", _MARKDOWN, path=("name",), raised=(UnknownName,))
        },
        "/v1/models/{name}/golden/{image}": {
            "get": _get(
                "A golden image, whose result the model reproduced before it was served",
                {"image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}}},
                path=("name", "image"),
                raised=(UnknownName,),
            )
        },
        "/v1/openapi.json": {"get": _get("This document", _json({"type": "object"}))},
        "/v1/docs": {"get": _get("This document as a web page", {"text/html": {"schema": {"type": "string"}}})},
        "/livez": {"get": _get("Liveness probe: the process responds", _TEXT)},
        "/readyz": {
            "get": _get(
                "Readiness probe: every package reproduced its golden results", _TEXT, raised=(errors.NotReady,)
            )
        },
        "/metrics": {"get": _get("Prometheus metrics", _TEXT)},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Foveal",
            "version": __version__,
            "summary": "Predictions of verified vision models over HTTP.",
        },
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }


_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_MARKDOWN = {"text/markdown": {"schema": {"type": "string"}}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _predict(task: Task) -> dict[str, Any]:
    entry = {"anyOf": [_ref(task.entry), _ref(schemas.FailedEntry)]}
    answer = {
        "type": "object",
        "required": ["model", "results"],
        "properties": {"model": _ref(ModelRef), "results": {"type": "array", "minItems": 1, "items": entry}},
    }
    images = {media: {"schema": {"type": "string", "contentMediaType": media}} for media in MEDIA_TYPES[1:]}
    model = ("`name` or `name@version`; left out: the task's default", {"type": "string"})
    parameters = {"model": model} | {
        name: (OPTIONS[name].description, task.option_schema(name)) for name in sorted(task.option_names)
    }
    return {
        "operationId": task.endpoint,
        "summary": f"{task.name.replace('-', ' ').capitalize()} of one or several images",
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
            for name, (text, schema) in parameters.items()
        ],
        "requestBody": {"required": True, "content": _body()},
        "responses": {
            "200": {
                "description": "One entry for each image, in order; or, for one image, the annotated image",
                "content": _json(answer) | images,
            }
        }
        | _errors(REQUEST_ERRORS),
    }


def _body() -> dict[str, Any]:
    raw = {"schema": {"type": "string", "contentMediaType": "image/*"}}
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "array", "items": {"type": "string", "contentMediaType": "image/*"}}},
    }
    return {"image/*": raw, "multipart/form-data": {"schema": form}} | _json(_ref(schemas.JsonBody))


def _get(
    summary: str, content: dict[str, Any], *, path: tuple[str, ...] = (), raised: tuple[type[FovealError], ...] = ()
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary}
    if path:
        text = {"in": "path", "required": True, "schema": {"type": "string"}}
        operation["parameters"] = [{"name": name, **text} for name in path]
    return operation | {"responses": {"200": {"description": summary, "content": content}} | _errors(raised)}


def _errors(raised: tuple[type[FovealError], ...]) -> dict[str, Any]:
    titles: dict[int, list[str]] = {}
    for error in raised:
        titles.setdefault(error.status, []).append(error.title)
    content = {errors.MEDIA_TYPE: {"schema": _ref(schemas.Problem)}}
    return {str(status): {"description": "; ".join(found), "content": content} for status, found in titles.items()}
