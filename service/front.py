"""What stands around every request: its id, and one line of log."""

import json
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveal.service.metrics import Metrics

ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
log = logging.getLogger("foveal.access")


def request_id(scope: Scope) -> str:
    """The id that the front gave or took over."""
    return str(scope["state"]["request_id"])


class Front:
    """Outermost middleware: X-Request-ID is echoed when it is harmless, made otherwise."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":  # a WebSocket: the router turns it away
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
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

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            elapsed = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")  # the template, so that labels stay few
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(elapsed)
            line = {
                "id": identity,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * elapsed, 3),
            }
            log.info(json.dumps(line))
