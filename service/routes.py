"""The routes: one to predict for each task, the models, the documentation, the playground."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from foveal.errors import BadRequest
from foveal.formats import to_json
from foveal.options import Options
from foveal.service import playground
from foveal.service.batching import Gate
from foveal.service.body import Upload, read_uploads
from foveal.service.describe import CARD_TYPE, card, describe, golden_picture, listing
from foveal.service.docs import page
from foveal.service.errors import DeadlineExceeded, NotAcceptable
from foveal.service.metrics import MEDIA_TYPE, Metrics
from foveal.service.models import Models
from foveal.service.negotiate import negotiate
from foveal.service.openapi import document
from foveal.service.presence import while_connected
from foveal.service.serving import JSON, OFFERED, Answer, Served, server_timing
from foveal.service.settings import Settings
from foveal.service.tracing import Tracing
from foveal.tasks import TASKS, Task

Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """The handlers, over one set of models."""

    def __init__(self, settings: Settings, models: Models, metrics: Metrics, tracing: Tracing) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._tracing = tracing
        self._gate = Gate(settings.max_requests, "requests")

    def all(self) -> list[Route]:
        """What the OpenAPI document describes, but for the probes, which are BentoML's; and the playground."""
        return [
            *(Route(f"/v1/{task.endpoint}", self._predict(task), methods=["POST"]) for task in TASKS.values()),
            Route("/v1/models", self._list),
            Route("/v1/models/{name}", self._show),
            Route("/v1/models/{name}/card", self._card),
            Route("/v1/models/{name}/golden/{picture}", self._golden),
            Route("/v1/openapi.json", self._openapi),
            Route("/v1/docs", self._docs),
            Route("/metrics", self._exposition),
            *playground.routes(),
        ]

    def _predict(self, task: Task) -> Handler:
        async def predict(request: Request) -> Response:
            media_type = negotiate(request.headers.get("accept"), OFFERED)
            with self._gate.admit():
                served, options = self._choose(task, request.query_params)
                uploads = await read_uploads(request, self._settings)
                if media_type != JSON and len(uploads) > 1:
                    raise NotAcceptable(f"{media_type} answers one image, got {len(uploads)}; {JSON} answers several")
                with served.gate.admit(len(uploads)):
                    async with while_connected(request):
                        answers = await self._answers(served, uploads, options, media_type)
            for answer in answers:
                self._tracing.picture(served.package.ref, answer.stages)
            return _respond(served, answers, media_type)

        return predict

    def _choose(self, task: Task, query: QueryParams) -> tuple[Served, Options]:
        """The model and the resolved options that the query asks for."""
        raw: dict[str, str] = {}
        for name, value in query.multi_items():
            if name in raw:
                raise BadRequest(f"parameter {name[:80]!r}: expected it once, got it twice")
            raw[name] = value
        served = self._models.pick(task.name, raw.pop("model", None))
        options = Options.parse(raw, applicable=task.option_names, labels=served.manifest.labels)
        return served, options.resolved(served.manifest)

    async def _answers(self, served: Served, uploads: list[Upload], options: Options, media_type: str) -> list[Answer]:
        """One answer for each upload, in order, all within the deadline."""
        try:
            async with asyncio.timeout(self._settings.request_s):
                if len(uploads) == 1:
                    return [await served.answer(uploads[0], options, media_type)]
                turns = asyncio.Semaphore(self._settings.image_thread_count)  # leaves room for other requests

                async def in_turn(upload: Upload) -> Answer:
                    async with turns:
                        return await served.answer(upload, options, media_type)

                return await asyncio.gather(*map(in_turn, uploads))
        except TimeoutError:
            raise DeadlineExceeded(f"expected an answer within {self._settings.request_s:g} s") from None

    async def _list(self, request: Request) -> Response:
        return _json(listing(self._models).model_dump(mode="json"))

    async def _show(self, request: Request) -> Response:
        return _json(describe(self._models, request.path_params["name"]).model_dump(mode="json"))

    async def _card(self, request: Request) -> Response:
        return Response(card(self._models, request.path_params["name"]), media_type=CARD_TYPE)

    async def _golden(self, request: Request) -> Response:
        wanted = request.path_params
        return Response(golden_picture(self._models, wanted["name"], wanted["picture"]), media_type="image/png")

    async def _openapi(self, request: Request) -> Response:
        return _json(document())

    async def _docs(self, request: Request) -> Response:
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return HTMLResponse(page(document()), headers=policy)

    async def _exposition(self, request: Request) -> Response:
        return Response(await asyncio.to_thread(self._metrics.exposition), media_type=MEDIA_TYPE)


def _respond(served: Served, answers: list[Answer], media_type: str) -> Response:
    """Several pictures: errors stand in their places. One picture: its error is the answer."""
    if len(answers) == 1 and answers[0].error is not None:
        raise answers[0].error
    body = b",".join(answer.body for answer in answers)
    if media_type == JSON:
        body = b'{"model":%b,"results":[%b]}' % (served.reference, body)
    headers = {"server-timing": server_timing(answers), "x-foveal-provider": served.predictor.provider}
    return Response(body, headers=headers, media_type=media_type)


def _json(content: object) -> Response:
    return Response(to_json(content), media_type=JSON)
