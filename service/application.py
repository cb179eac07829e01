"""ASGI application (`Application`): routes, middleware, error responses, loading and reloading of the models."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping

import cv2
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from foveal.errors import FovealError
from foveal.service.announce import announce
from foveal.service.errors import (
    DeadlineExceeded,
    InternalError,
    MemoryBusy,
    MethodNotAllowed,
    NoSuchPath,
    NotReady,
    RetryError,
    problem_response,
)
from foveal.service.http.auth import ApiKeys, Clock
from foveal.service.http.middleware import RequestMiddleware, request_id
from foveal.service.http.predictions import PredictionEndpoints
from foveal.service.http.routes import Routes
from foveal.service.inference.loaded_models import LoadedModels
from foveal.service.inference.memory import MemoryBudget
from foveal.service.inference.threads import WorkThreads
from foveal.service.observability.metrics import Metrics
from foveal.service.observability.tracing import Tracing
from foveal.service.settings import Settings
from foveal.service.shutdown import ending_within

log = logging.getLogger("foveal.service")
PROBES = ("/livez", "/readyz")  # answered by the host (bentoml_host.py); other methods arrive here
CLIENT_CLOSED = 499  # nginx's status for a disconnected client; only in logs and metrics


class Application:
    """Every route but the health probes. `lifespan` must be entered before the first request."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        """`clock`: for the rate limits of API keys."""
        self.settings = settings
        self.threads = WorkThreads(settings.image_thread_count, settings.request_s + settings.stuck_s)
        self.memory = MemoryBudget(1_000_000 * settings.memory_budget_mb, settings.workers)
        self.metrics = Metrics()
        self._tracing = Tracing(settings.otel_endpoint)
        self.models = LoadedModels(settings, self.threads, self.metrics)
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
        scope["memory"] = lease = self.memory.lease()
        try:
            await self._entry(scope, receive, send)
        finally:  # now that the answer is written
            lease.release()
            self.metrics.memory_in_use.set(self.memory.in_use)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load and verify the models in the background, so that /livez answers meanwhile."""
        cv2.setNumThreads(1)  # the image threads use all cores already
        with self._tracing.running(), ending_within(self.settings.grace_s, self._running):
            loading = asyncio.create_task(self._keep_loaded())
            try:
                yield
            finally:
                loading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loading
                self.models.close()
                self.threads.close()

    async def _keep_loaded(self) -> None:
        """Load now, and again whenever the zoo has changed: checked periodically and on SIGHUP."""
        requested = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, requested.set)
        wakeup = signal.set_wakeup_fd(-1)  # a flood of signals fills the pipe: Python's warning of that may deadlock
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        await self._apart(self.models.load)
        self.memory.measure()
        self.metrics.memory_limit.set(self.memory.limit)
        announce(served.package for served in self.models.snapshot.served.values())
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(requested.wait(), self.settings.reload_s or None)
            requested.clear()
            await self._apart(self.models.reload)

    async def _apart(self, load: Callable[[], None]) -> None:
        """Load in a thread. Whatever goes wrong, the models that are served go on, and the zoo is looked at again."""
        try:
            await asyncio.to_thread(load)
        except Exception:
            log.exception("could not load the zoo")

    def check_alive(self) -> None:
        """Check that no thread is stuck; the log names what is, once.

        Raises:
            NotReady: a thread has been occupied for longer than any request waits: only a restart frees it.
        """
        stuck = self.threads.stuck()
        for each in stuck:
            if each.new:
                log.error("thread stuck", extra={"fields": each.fields()})
        if stuck:
            worst = max(stuck, key=lambda each: each.seconds)
            raise NotReady(f"{len(stuck)} threads are stuck, one for {worst.seconds:.0f} s in {worst.stage}", 60)

    def _running(self) -> list[Mapping[str, object]]:
        return [each.fields() for each in self.threads.running()]

    def _error_response(self, scope: Scope, error: Exception) -> Response:
        """The response to a request that raised `error`."""
        if isinstance(error, FovealError) and error.status != InternalError.status:
            if isinstance(error, RetryError | MemoryBusy | DeadlineExceeded):
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
