"""What stands around every request: its id, its key, its figures and one line of log."""

import logging
import re
import time
import uuid

from opentelemetry.trace import Span
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveal.service.auth import Keys
from foveal.service.errors import RequestError, problem_response
from foveal.service.metrics import Metrics
from foveal.service.playground import is_public
from foveal.service.tracing import Tracing

ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
log = logging.getLogger("foveal.access")


def request_id(scope: Scope) -> str:
    """The id that the front gave or took over."""
    return str(scope["state"]["request_id"])


class Front:
    """Outermost middleware: X-Request-ID is echoed when it is harmless, made otherwise."""

    def __init__(self, app: ASGIApp, keys: Keys, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._keys = keys
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":  # a WebSocket: the router turns it away
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        identity = given if ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identity
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = identity
            await send(message)

        with self._tracing.request(headers) as span:
            try:
                await self._admitted(scope["path"], headers)(scope, receive, send_with_id)
            finally:
                self._note(scope, status, time.perf_counter() - started, span)

    def _note(self, scope: Scope, status: int, elapsed_s: float, span: Span) -> None:
        """Figures, trace and log of a request that is over; status 0: it got no answer."""
        route = getattr(scope.get("route"), "path", "other")  # the template, so that labels stay few
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(elapsed_s)
        span.update_name(f"{scope['method']} {route}")
        span.set_attributes({
            "http.request.method": scope["method"], "http.route": route, "http.response.status_code": status,
            "foveal.request_id": request_id(scope),
        })  # fmt: skip
        fields = {
            "id": request_id(scope),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(1000 * elapsed_s, 3),
        }
        log.info("request", extra={"fields": fields})

    def _admitted(self, path: str, headers: Headers) -> ASGIApp:
        """The application, or the refusal, for a request of this path with these headers."""
        try:
            if not is_public(path):
                self._keys.check(headers.get("authorization"))
        except RequestError as fault:
            self._metrics.rejected(fault)
            return problem_response(fault)
        return self._app
