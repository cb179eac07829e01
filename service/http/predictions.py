"""POST to a task's endpoint: who is let in, what is asked for, and the answers to all images of a request."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from foveal.errors import FovealError
from foveal.options import Options
from foveal.service.errors import DeadlineExceeded, NotAcceptable
from foveal.service.http.body import Upload, read_uploads
from foveal.service.http.disconnect import while_connected
from foveal.service.http.negotiate import negotiate
from foveal.service.inference.batching import Gate
from foveal.service.inference.loaded_models import Models
from foveal.service.inference.served_model import JSON, OFFERED, Answer, Served, server_timing
from foveal.service.observability.tracing import Tracing
from foveal.service.settings import Settings
from foveal.tasks import TASKS, Task

ENDPOINTS = {f"/v1/{task.endpoint}": task for task in TASKS.values()}


class Predictions:
    """The predictions of one set of models."""

    def __init__(self, settings: Settings, models: Models, tracing: Tracing) -> None:
        self._settings = settings
        self._models = models
        self._tracing = tracing
        self._gate = Gate(settings.max_requests, "requests")

    def check_room(self, scope: Scope) -> None:
        """Refuse a request by its head, before anything of its body is read: a flood must cost next to nothing.

        Nothing is reserved: a client that uploads slowly must not keep others out. Who comes too late all the same is
        refused once his images are there.

        Raises:
            Busy: what the request asks for has no free place. Whatever else is wrong with it is told later.
        """
        task = ENDPOINTS.get(scope["path"])
        if task is None or scope["method"] != "POST":
            return
        self._gate.check()
        try:
            served, _ = self._models.choose(task, scope["query_string"])
        except FovealError:
            return
        served.gate.check()

    async def answer(self, task: Task, request: Request) -> Response:
        """The response to one request.

        Raises:
            FovealError: it gets no prediction. ClientDisconnect: nobody is there any more.
        """
        media_type = negotiate(request.headers.get("accept"), OFFERED)
        with self._gate.admit():
            served, options = self._models.choose(task, request.scope["query_string"])
            uploads = await read_uploads(request, self._settings)
            if media_type != JSON and len(uploads) > 1:
                raise NotAcceptable(f"{media_type} answers one image, got {len(uploads)}; {JSON} answers several")
            with served.gate.admit(len(uploads)):
                async with while_connected(request):
                    answers = await self._answers(served, uploads, options, media_type)
        for answer in answers:
            self._tracing.image(served.package.ref, answer.stages)
        return _respond(served, answers, media_type)

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


def _respond(served: Served, answers: list[Answer], media_type: str) -> Response:
    """Several images: errors stand in their places. One image: its error is the answer."""
    if len(answers) == 1 and answers[0].error is not None:
        raise answers[0].error
    body = b",".join(answer.body for answer in answers)
    if media_type == JSON:
        body = b'{"model":%b,"results":[%b]}' % (served.reference, body)
    headers = {"server-timing": server_timing(answers), "x-foveal-provider": served.predictor.provider}
    return Response(body, headers=headers, media_type=media_type)
