"""ASGI application (`Application`): routes, middleware, error responses, loading and reloading of the models."""

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
from foveal.service.http.auth import ApiKeys, Clock
from foveal.service.http.middleware import RequestMiddleware, request_id
from foveal.service.http.predictions import PredictionEndpoints
from foveal.service.http.routes import Routes
from foveal.service.inference.loaded_models import LoadedModels
from foveal.service.observability.metrics import Metrics
from foveal.service.observability.tracing import Tracing
from foveal.service.settings import Settings

log = logging.getLogger("foveal.service")
PROBES = ("/livez", "/readyz")  # answered by the host (bentoml_host.py); other methods arrive here
CLIENT_CLOSED = 499  # nginx's status for a disconnected client; only in logs and metrics


class Application:
    """Every route but the health probes. `lifespan` must be entered before the first request."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        """`clock`: for the rate limits of API keys."""
        self.settings = settings
        self._threads = ThreadPoolExecutor(settings.image_thread_count, "foveal-image")
        self.metrics = Metrics()
        self._tracing = Tracing(settings.otel_endpoint)
        self.models = LoadedModels(settings, self._threads, self.metrics)
        predictions = PredictionEndpoints(settings, self.models, self._tracing)
        routed = Router(Routes(predictions, self.models, self.metrics).all(), redirect_slashes=False)
        keys = ApiKeys(settings.api_keys, settings.key_requests_per_s, clock)
        middleware = RequestMiddleware(
            routed, keys, predictions.check_capacity, self._error_response, self.metrics, self._tracing
        )
        self._entry = _with_cors(middleware, settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        scope["app"] = self  # makes the router raise HTTPException for an unknown path
        await self._entry(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load and verify the models in the background, so that /livez answers meanwhile."""
        cv2.setNumThreads(1)  # the image threads use all cores already
        with self._tracing.running():
            loading = asyncio.create_task(self._keep_loaded())
            try:
                yield
            finally:
                loading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loading
                self._threads.shutdown(cancel_futures=True)

    async def _keep_loaded(self) -> None:
        """Load now, and again whenever the zoo has changed: checked periodically and on SIGHUP."""
        requested = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, requested.set)
        await asyncio.to_thread(self.models.load)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(requested.wait(), self.settings.reload_s or None)
            requested.clear()
            try:
                await asyncio.to_thread(self.models.reload)
            except OSError as error:  # a file was removed during the scan; the next scan finds the new state
                log.warning("could not scan the zoo: %s", error)

    def _error_response(self, scope: Scope, error: Exception) -> Response:
        """The response to a request that raised `error`."""
        if isinstance(error, FovealError) and error.status != InternalError.status:
            if isinstance(error, RetryError | DeadlineExceeded):
                self.metrics.rejected(error)
            return problem_response(error)
        if isinstance(error, HTTPException):
            return problem_response(_routing_error(scope["path"], scope["method"], error))
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
        allow_headers=["authorization", "x-request-id", "traceparent", "tracestate", "baggage"],
        expose_headers=["server-timing", "x-foveal-provider", "x-request-id", "retry-after"],
    )


def _routing_error(path: str, method: str, error: HTTPException) -> FovealError:
    """The error for an HTTPException of Starlette's router: unknown path, or a method that it does not allow."""
    probe = path in PROBES
    if error.status_code == MethodNotAllowed.status or probe:
        allowed = "GET, HEAD" if probe else (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"{path} expects {allowed}, got {method[:20]}", {"allow": allowed})
    return NoSuchPath(f"nothing at {path[:200]!r}; /v1/docs lists what there is")
