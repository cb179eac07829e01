"""The BentoML service: lifecycle, workers, health and packaging are BentoML's; the routes are application.py's.

`foveal serve`, `bentoml serve` (through bentofile.yaml) and `bentoml build` all start here.
"""

from contextlib import AsyncExitStack

import bentoml
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from foveal.formats import to_json
from foveal.service import logs
from foveal.service.application import Application
from foveal.service.errors import MEDIA_TYPE, NotReady, problem
from foveal.service.settings import from_environment


async def _untimed(self: TimeoutMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
    await self.app(scope, receive, send)


# BentoML cannot be told to have no timeout, and its own leaves a timer behind every request until it would have fired:
# memory by the thousand requests, and a task and a future more for each. Ours (upload_s, request_s) are enough.
TimeoutMiddleware.__call__ = _untimed  # type: ignore[method-assign]
settings = from_environment()
application = Application(settings)


@bentoml.asgi_app(application, path="/")
@bentoml.service(
    name="foveal",
    workers=settings.workers,
    # BentoML's own tracing, access log and metrics cost 3 ms a request; application.py has its own (FACTS, BentoML 1.4)
    tracing={"excluded_urls": [".*"]},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Foveal:
    """Serves every package of a zoo."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Once in each worker, before it listens."""
        logs.configure(requests=settings.log_requests)
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(application.lifespan())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Once in each worker, after the last request in flight was answered."""
        await self._stack.aclose()

    async def __is_ready__(self) -> bool:
        """Gate of /readyz; the answer names what failed."""
        try:
            application.models.check_ready()
        except NotReady as fault:
            raise HTTPException(
                fault.status, to_json(problem(fault)).decode(), fault.headers | {"content-type": MEDIA_TYPE}
            ) from None
        return True
