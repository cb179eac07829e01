"""What stands around every request: its id, its key, the answer to its failure, its figures and one line of log."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from opentelemetry.trace import Span
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveal.service.errors import Busy, RequestError, refusal
from foveal.service.http.auth import Keys
from foveal.service.http.playground import is_public
from foveal.service.http.predictions import ENDPOINTS
from foveal.service.observability.metrics import Metrics
from foveal.service.observability.tracing import Tracing

ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
REFUSALS_REPORTED_S = 1.0  # a flood of requests must not become one of lines
log = logging.getLogger("foveal.access")


def request_id(scope: Scope) -> str:
    """The id that the front gave or took over."""
    return str(scope["state"]["request_id"])


class RequestMiddleware:
    """Outermost middleware: X-Request-ID is echoed when it is harmless, made otherwise."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        check_room: Callable[[Scope], None],
        failed: Callable[[Scope, Exception], Response],
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        """`check_room` raises Busy for a request whose body need not be read; `failed` makes answers of exceptions."""
        self._app = app
        self._keys = keys
        self._check_room = check_room
        self._failed = failed
        self._metrics = metrics
        self._tracing = tracing
        self._refused, self._next_reported = 0, 0.0

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
                message["headers"] = [*message["headers"], (b"x-request-id", identity.encode())]
            await send(message)

        with self._tracing.request(headers) as span:
            try:
                await self._admitted(scope, headers)(scope, receive, send_with_id)
            except Exception as error:
                if status:
                    raise  # too late for another answer
                await self._failed(scope, error)(scope, receive, send_with_id)
            finally:
                self._note(scope, status, time.perf_counter() - started, span)

    def _note(self, scope: Scope, status: int, elapsed_s: float, span: Span) -> None:
        """Figures, trace and log of a request that is over; status 0: it got no answer."""
        path = scope["path"]
        # the template, so that labels stay few; what is refused by its head never got to the router
        route = getattr(scope.get("route"), "path", path if path in ENDPOINTS else "other")
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
            "path": path,
            "status": status,
            "ms": round(1000 * elapsed_s, 3),
        }
        if status == Busy.status:
            self._refused += 1
            if time.monotonic() < self._next_reported:
                return
            fields["refused"], self._refused = self._refused, 0  # since the last such line
            self._next_reported = time.monotonic() + REFUSALS_REPORTED_S
        log.info("request", extra={"fields": fields})

    def _admitted(self, scope: Scope, headers: Headers) -> ASGIApp:
        """The application, or the refusal, for a request with this head."""
        try:
            if not is_public(scope["path"]):
                self._keys.check(headers.get("authorization"))
            self._check_room(scope)
        except RequestError as fault:
            self._metrics.rejected(fault)
            return refusal(fault, headers)
        return self._app
