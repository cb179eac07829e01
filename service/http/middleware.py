"""Outermost middleware (`RequestMiddleware`): request id, API key, admission, error responses, metrics, access log."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from opentelemetry.trace import Span
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveal.service.errors import Busy, RequestError, rejection
from foveal.service.http.auth import ApiKeys
from foveal.service.http.playground import is_public
from foveal.service.http.predictions import ENDPOINTS
from foveal.service.observability.metrics import Metrics
from foveal.service.observability.tracing import Tracing

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
REJECTION_LOG_INTERVAL_S = 1.0  # rejections are logged at most once in this time: an overload must not fill the log
log = logging.getLogger("foveal.access")


def request_id(scope: Scope) -> str:
    """The id of a request, as `RequestMiddleware` set it."""
    return str(scope["state"]["request_id"])


class RequestMiddleware:
    """ASGI middleware around the whole application. A valid X-Request-ID is kept; any other is replaced."""

    def __init__(
        self,
        app: ASGIApp,
        keys: ApiKeys,
        check_capacity: Callable[[Scope], None],
        error_response: Callable[[Scope, Exception], Response],
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        """`check_capacity` raises Busy for a request to reject before its body is read."""
        self._app = app
        self._keys = keys
        self._check_capacity = check_capacity
        self._error_response = error_response
        self._metrics = metrics
        self._tracing = tracing
        self._rejected, self._next_logged = 0, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":  # a WebSocket: the router rejects it
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        identity = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
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
                    raise  # the response has begun, so no other can be sent
                await self._error_response(scope, error)(scope, receive, send_with_id)
            finally:
                self._record(scope, status, time.perf_counter() - started, span)

    def _record(self, scope: Scope, status: int, elapsed_s: float, span: Span) -> None:
        """Metrics, span and log line of a finished request; status 0: no response was sent."""
        path = scope["path"]
        # the route's template keeps the number of labels small; a rejected request has not reached the router
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
            self._rejected += 1
            if time.monotonic() < self._next_logged:
                return
            fields["refused"], self._rejected = self._rejected, 0  # since the last such line
            self._next_logged = time.monotonic() + REJECTION_LOG_INTERVAL_S
        log.info("request", extra={"fields": fields})

    def _admitted(self, scope: Scope, headers: Headers) -> ASGIApp:
        """The application, or the error response, for a request with these headers."""
        try:
            if not is_public(scope["path"]):
                self._keys.check(headers.get("authorization"))
            self._check_capacity(scope)
        except RequestError as error:
            self._metrics.rejected(error)
            return rejection(error, headers)
        return self._app
