"""Prediction endpoints (`PredictionEndpoints`): POST /v1/<endpoint> of each task, for one or several images."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from foveal.errors import BadRequest, FovealError
from foveal.options import Options
from foveal.service.errors import DeadlineExceeded, NotAcceptable
from foveal.service.http.body import explained, read_body
from foveal.service.http.disconnect import while_connected
from foveal.service.http.negotiate import negotiate
from foveal.service.inference.batching import Gate
from foveal.service.inference.loaded_models import LoadedModels
from foveal.service.inference.served_model import JSON, MEDIA_TYPES, Prediction, ServedModel, Upload
from foveal.service.inference.threads import Work
from foveal.service.observability.stages import STAGES
from foveal.service.observability.tracing import Tracing
from foveal.service.settings import Settings
from foveal.tasks import TASKS, Task

MAX_PARAMETERS = 64
ENDPOINTS = {f"/v1/{task.endpoint}": task for task in TASKS.values()}


class PredictionEndpoints:
    """Admission, model choice, body, prediction and response of a request, over the loaded models."""

    def __init__(self, settings: Settings, models: LoadedModels, tracing: Tracing) -> None:
        self._settings = settings
        self._models = models
        self._tracing = tracing
        self._gate = Gate(settings.max_requests, "requests")

    def check_capacity(self, scope: Scope) -> None:
        """Reject a request by its headers, before any of its body is read, so that an overload costs little.

        No place is reserved, since a slow upload must not occupy one. A request that finds no free place after its
        upload is rejected then.

        Raises:
            Busy: no place is free. Any other error in the request is reported later.
        """
        task = ENDPOINTS.get(scope["path"])
        if task is None or scope["method"] != "POST":
            return
        self._gate.check()
        try:
            served, _ = self._choose(task, scope["query_string"])
        except FovealError:
            return
        served.gate.check()

    def _choose(self, task: Task, query: bytes) -> tuple[ServedModel, Options]:
        """The model and the options of a query. Raises FovealError: there are none."""
        if query.count(b"&") >= MAX_PARAMETERS:
            raise BadRequest(f"expected at most {MAX_PARAMETERS} parameters, got more")
        return self._models.choose(task, query)

    async def respond(self, task: Task, request: Request) -> Response:
        """The response to one request.

        Raises:
            FovealError: the request has no prediction. ClientDisconnect: the client disconnected.
        """
        media_type = negotiate(request.headers.get("accept"), MEDIA_TYPES)
        with self._gate.admit():
            served, options = self._choose(task, request.scope["query_string"])
            body = await read_body(request, self._settings)
            async with while_connected(request), self._deadline():
                declared, uploads = body.media_type, await body.uploads(self._settings.max_images)
                del body  # a form's or JSON's bytes: the uploads are copies
                if media_type != JSON and len(uploads) > 1:
                    raise NotAcceptable(f"{media_type} answers one image, got {len(uploads)}; {JSON} answers several")
                with served.gate.admit(len(uploads)):
                    predictions = await self._predict(served, uploads, options, media_type, request.scope)
        for prediction in predictions:
            self._tracing.image(served.package.ref, prediction.stages)
        if len(predictions) == 1 and predictions[0].error is not None:
            raise explained(predictions[0].error, declared, uploads[0].data)
        return _response(served, predictions, media_type)

    @contextlib.asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Cancel what is not done within `request_s`.

        Raises:
            DeadlineExceeded: it was not.
        """
        try:
            async with asyncio.timeout(self._settings.request_s):
                yield
        except TimeoutError:
            raise DeadlineExceeded(f"expected an answer within {self._settings.request_s:g} s") from None

    async def _predict(
        self, served: ServedModel, uploads: list[Upload], options: Options, media_type: str, scope: Scope
    ) -> list[Prediction]:
        """One prediction for each upload, in order."""

        def work() -> Work:
            return Work(scope["state"]["request_id"], scope["memory"], several=len(uploads) > 1)

        if len(uploads) == 1:
            return [await served.predict(uploads[0], options, media_type, work())]
        slots = asyncio.Semaphore(self._settings.image_thread_count)  # leaves threads to other requests

        async def in_slot(upload: Upload) -> Prediction:
            async with slots:
                return await served.predict(upload, options, media_type, work())

        return await asyncio.gather(*map(in_slot, uploads))


def _response(served: ServedModel, predictions: list[Prediction], media_type: str) -> Response:
    """One entry for each image, errors included; or the annotated image."""
    body = b",".join(prediction.body for prediction in predictions)
    if media_type == JSON:
        body = b'{"model":%b,"results":[%b]}' % (served.reference, body)
    headers = {"server-timing": server_timing(predictions), "x-foveal-provider": served.predictor.provider}
    return Response(body, headers=headers, media_type=media_type)


def server_timing(predictions: list[Prediction]) -> str:
    """The Server-Timing header: each stage in ms, summed over the images, and their largest batch size."""
    stages = [
        f"{stage};dur={1000 * sum(p.stages.seconds.get(stage, 0.0) for p in predictions):.3f}" for stage in STAGES
    ]
    return ", ".join([*stages, f'batch;desc="{max(p.batch_size for p in predictions)}"'])
