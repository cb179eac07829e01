"""The BentoML service: lifecycle, workers, health and packaging are BentoML's; the routes are application.py's.

`foveal serve`, `bentoml serve` (through bentofile.yaml) and `bentoml build` start here. BentoML's parent process comes
here too and needs only what the decorator says: nothing heavy is imported before a worker asks for its application.
"""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import bentoml

from foveal.service.settings import from_environment

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from foveal.service.application import Application

PROBES = ("/livez", "/readyz", "/healthz")


@cache
def application() -> Application:
    """The worker's own."""
    from foveal.service.application import Application

    return Application(from_environment())


class Direct(bentoml.Service[Any]):  # type: ignore[misc]
    """BentoML answers the probes and starts and stops the worker; every other request comes straight to us.

    Its own way there costs 0.1 ms a request, and its TimeoutMiddleware, which cannot be switched off, leaves a timer
    behind every request until it would have fired: memory by the thousand requests.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What the worker serves."""
        bento: ASGIApp = super().to_asgi(is_main=is_main)
        ours = application()

        async def entry(scope: Scope, receive: Receive, send: Send) -> None:
            probe = scope["type"] == "http" and scope["path"] in PROBES and scope["method"] in ("GET", "HEAD")
            await (bento if probe or scope["type"] == "lifespan" else ours)(scope, receive, send)

        return entry


@bentoml.service(
    name="foveal",
    workers=from_environment().workers,
    service_class=Direct,
    # probes are neither traced nor logged; application.py has metrics of its own
    tracing={"excluded_urls": [".*"]},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Foveal:
    """Serves every package of a zoo."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Once in each worker, before it listens."""
        from foveal.service.observability import logs

        gc.freeze()  # else a full collection walks what was imported: 54 ms (measured) in the midst of a request
        logs.configure(requests=from_environment().log_requests)
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(application().lifespan())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Once in each worker, after the last request in flight was answered."""
        await self._stack.aclose()

    async def __is_ready__(self) -> bool:
        """Gate of /readyz; the answer names what failed."""
        from starlette.exceptions import HTTPException

        from foveal.formats import to_json
        from foveal.service.errors import MEDIA_TYPE, NotReady, problem

        try:
            application().models.check_ready()
        except NotReady as fault:
            raise HTTPException(
                fault.status, to_json(problem(fault)).decode(), fault.headers | {"content-type": MEDIA_TYPE}
            ) from None
        return True
