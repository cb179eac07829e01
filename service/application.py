"""The ASGI application: routes, the way out of errors, start and stop. BentoML's worker serves it (app.py)."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import cv2
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from foveal.errors import FovealError
from foveal.service.errors import (
    DeadlineExceeded,
    InternalError,
    MethodNotAllowed,
    NoSuchPath,
    RetryError,
    problem_response,
)
from foveal.service.http.auth import Clock, Keys
from foveal.service.http.middleware import RequestMiddleware, request_id
from foveal.service.http.predictions import Predictions
from foveal.service.http.routes import Routes
from foveal.service.inference.loaded_models import Models
from foveal.service.observability.metrics import Metrics
from foveal.service.observability.tracing import Tracing
from foveal.service.settings import Settings

log = logging.getLogger("foveal.service")
PROBES = ("/livez", "/readyz")  # BentoML answers them; what comes through to us has another method
CLIENT_CLOSED = 499  # nobody reads it but our log; nginx's number for it


class Application:
    """Everything under one port but the probes. `lifespan` must be entered before requests come."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        """`clock` is that of the keys' rates."""
        self.settings = settings
        self._threads = ThreadPoolExecutor(settings.image_thread_count, "foveal-image")
        self.metrics = Metrics()
        self._tracing = Tracing(settings.otel_endpoint)
        self.models = Models(settings, self._threads, self.metrics)
        predictions = Predictions(settings, self.models, self._tracing)
        routed = Router(Routes(predictions, self.models, self.metrics).all(), redirect_slashes=False)
        keys = Keys(settings.api_keys, settings.key_requests_per_s, clock)
        middleware = RequestMiddleware(routed, keys, predictions.check_room, self._failed, self.metrics, self._tracing)
        self._entry = _with_cors(middleware, settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        scope["app"] = self  # with this set, the router raises what it cannot find
        await self._entry(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load and check the models in the background, so that /livez answers meanwhile."""
        cv2.setNumThreads(1)  # our own threads keep the cores busy; OpenCV's would only get in their way
        with self._tracing.running():
            watching = asyncio.create_task(self._keep_loaded())
            try:
                yield
            finally:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watching
                self._threads.shutdown(cancel_futures=True)

    async def _keep_loaded(self) -> None:
        """Load now, and again whenever the zoo changed or SIGHUP came."""
        hang_up = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up.set)
        await asyncio.to_thread(self.models.load)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hang_up.wait(), self.settings.reload_s or None)
            hang_up.clear()
            try:
                await asyncio.to_thread(self.models.reload)
            except OSError as error:  # a file went away while we looked; the next look sees what is there then
                log.warning("could not look at the zoo: %s", error)

    def _failed(self, scope: Scope, error: Exception) -> Response:
        """The answer instead of the one that raised this."""
        if isinstance(error, FovealError):
            if isinstance(error, RetryError | DeadlineExceeded):
                self.metrics.rejected(error)
            return problem_response(error)
        if isinstance(error, HTTPException):
            return problem_response(_unrouted(scope["path"], scope["method"], error))
        if isinstance(error, ClientDisconnect):
            return Response(status_code=CLIENT_CLOSED)
        log.error("bug", exc_info=error, extra={"fields": {"id": request_id(scope)}})
        return problem_response(InternalError(f"request {request_id(scope)}; the log has its traceback"))


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "x-request-id"],
        expose_headers=["server-timing", "x-foveal-provider", "x-request-id", "retry-after"],
    )


def _unrouted(path: str, method: str, error: HTTPException) -> FovealError:
    """What Starlette's router means: no such path, or not with this method."""
    probe = path in PROBES
    if error.status_code == MethodNotAllowed.status or probe:
        allowed = "GET, HEAD" if probe else (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"{path} expects {allowed}, got {method[:20]}", {"allow": allowed})
    return NoSuchPath(f"nothing at {path[:200]!r}; /v1/docs lists what there is")
