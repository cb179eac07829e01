"""Every fault that a client can meet, and its one way out: RFC 9457 `application/problem+json`.

| status | fault |
|---|---|
| 400 | BadRequest (core): bad, unknown or inapplicable parameter; malformed body |
| 401 | Unauthorised |
| 404 | UnknownName (core): model, task; NoSuchPath |
| 405 | MethodNotAllowed |
| 406 | NotAcceptable |
| 408 | UploadTooSlow |
| 413 | ImageTooLarge (core); BodyTooLarge |
| 415 | UnsupportedImage (core); UnsupportedBody |
| 422 | BadImage (core) |
| 429 | Busy |
| 503 | NotReady |
| 504 | DeadlineExceeded |
| 500 | InternalError: a bug of ours; nothing that a client sends may lead to it |
"""

import asyncio
import contextlib
import math

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foveal.errors import FovealError
from foveal.formats import to_json

MEDIA_TYPE = "application/problem+json"
DISCARDED_BYTES = 1_000_000  # the largest body that is read for nothing, so as to keep a connection
LINGER_S, LINGER_BYTES = 1.0, 10_000_000  # how long a refused upload is listened to


class RequestError(FovealError):
    """A fault of HTTP, not of an image. `headers` go into the answer."""

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = headers or {}


class ClosingError(RequestError):
    """A fault that is answered before the body was read to its end; the connection cannot be used again."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"connection": "close"})


class RetryError(RequestError):
    """A fault that goes away by itself, in about `retry_after_s` seconds."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail, {"retry-after": str(max(1, math.ceil(retry_after_s)))})


class Unauthorised(RequestError):
    """API keys are set, and the request brought none or a wrong one."""

    title, status = "API key missing or wrong", 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"www-authenticate": "Bearer"})


class NoSuchPath(RequestError):
    """Nothing lives at this path."""

    title, status = "No such path", 404


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    title, status = "Method not allowed", 405


class NotAcceptable(RequestError):
    """`Accept` names nothing that this route can give."""

    title, status = "No acceptable media type", 406


class UploadTooSlow(ClosingError):
    """The body did not arrive in time."""

    title, status = "Upload too slow", 408


class BodyTooLarge(ClosingError):
    """More bytes or more images than one request may hold."""

    title, status = "Request too large", 413


class UnsupportedBody(ClosingError):
    """The declared container is none that we unpack."""

    title, status = "Unsupported request body", 415


class Busy(RetryError):
    """As much work is waiting as can be done in reasonable time."""

    title, status = "Too many requests", 429


class NotReady(RetryError):
    """Starting, draining, or the package did not pass its own golden check."""

    title, status = "Not ready", 503


class DeadlineExceeded(RequestError):
    """The answer was not there in time; what was not computed yet will not be."""

    title, status = "Deadline exceeded", 504


class InternalError(RequestError):
    """A bug of ours. The detail gives the request's id and nothing else away; the log has the rest."""

    title, status = "Internal error", 500


def problem(error: FovealError) -> dict[str, object]:
    """The problem object. `type` leads to the fault's entry in the served documentation."""
    anchor = error.title.lower().replace(" ", "-")
    return {"type": f"/v1/docs#{anchor}", "title": error.title, "status": error.status, "detail": str(error)}


def problem_response(error: FovealError) -> Response:
    """The answer to a request that failed as a whole."""
    headers = error.headers if isinstance(error, RequestError) else {}
    kind = LingeringResponse if isinstance(error, ClosingError) else Response
    return kind(to_json(problem(error)), error.status, headers, MEDIA_TYPE)


def refusal(error: RequestError, head: Headers) -> Response:
    """The answer to a request of which only the head was read.

    The rest of a small body is thrown away and the connection lives on; one that is large, or of unknown length, is not
    worth that.
    """
    declared = head.get("content-length", "0")
    small = declared.isascii() and declared.isdigit() and int(declared[:20]) <= DISCARDED_BYTES
    headers = error.headers if small and "transfer-encoding" not in head else error.headers | {"connection": "close"}
    return LingeringResponse(to_json(problem(error)), error.status, headers, MEDIA_TYPE)


class LingeringResponse(Response):
    """Answers at once, before the body was read to its end, and is over a moment later.

    What still arrives meanwhile is thrown away: closing with unread bytes would reset the connection, and the client
    would lose the answer that tells it why (RFC 9112, 9.6).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                left, more = LINGER_BYTES, True
                while more and left > 0:
                    message = await receive()
                    left, more = left - len(message.get("body", b"")), message.get("more_body", False)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
