"""Route table (`Routes`): prediction endpoints, models, documentation, metrics, playground."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from foveal.formats import to_json
from foveal.service.http import playground
from foveal.service.http.docs import page
from foveal.service.http.model_info import CARD_TYPE, card, describe, golden_image, listing
from foveal.service.http.openapi import document
from foveal.service.http.predictions import ENDPOINTS, PredictionEndpoints
from foveal.service.inference.loaded_models import LoadedModels
from foveal.service.inference.served_model import JSON
from foveal.service.observability.metrics import MEDIA_TYPE, Metrics
from foveal.tasks import Task

Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """Handlers over the loaded models."""

    def __init__(self, predictions: PredictionEndpoints, models: LoadedModels, metrics: Metrics) -> None:
        self._predictions = predictions
        self._models = models
        self._metrics = metrics

    def all(self) -> list[Route]:
        """Every route but the health probes, which the host adds (bentoml_host.py)."""
        return [
            *(Route(path, self._predict(task), methods=["POST"]) for path, task in ENDPOINTS.items()),
            Route("/v1/models", self._list),
            Route("/v1/models/{name}", self._show),
            Route("/v1/models/{name}/card", self._card),
            Route("/v1/models/{name}/golden/{image}", self._golden),
            Route("/v1/openapi.json", self._openapi),
            Route("/v1/docs", self._docs),
            Route("/metrics", self._exposition),
            *playground.routes(),
        ]

    def _predict(self, task: Task) -> Handler:
        async def predict(request: Request) -> Response:
            return await self._predictions.respond(task, request)

        return predict

    async def _list(self, request: Request) -> Response:
        return _json(listing(self._models).model_dump(mode="json"))

    async def _show(self, request: Request) -> Response:
        return _json(describe(self._models, request.path_params["name"]).model_dump(mode="json"))

    async def _card(self, request: Request) -> Response:
        return Response(card(self._models, request.path_params["name"]), media_type=CARD_TYPE)

    async def _golden(self, request: Request) -> Response:
        wanted = request.path_params
        return Response(golden_image(self._models, wanted["name"], wanted["image"]), media_type="image/png")

    async def _openapi(self, request: Request) -> Response:
        return _json(document())

    async def _docs(self, request: Request) -> Response:
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return HTMLResponse(page(document()), headers=policy)

    async def _exposition(self, request: Request) -> Response:
        return Response(await asyncio.to_thread(self._metrics.exposition), media_type=MEDIA_TYPE)


def _json(content: object) -> Response:
    return Response(to_json(content), media_type=JSON)
