"""HTTP errors and their responses: RFC 9457 problem details (`application/problem+json`).

| status | error |
|---|---|
| 400 | BadRequest (core): bad, unknown or inapplicable parameter; malformed body. BadHead |
| 401 | Unauthorised |
| 404 | UnknownName (core): model, task; NoSuchPath |
| 405 | MethodNotAllowed |
| 406 | NotAcceptable |
| 408 | UploadTooSlow |
| 413 | ImageTooLarge (core); BodyTooLarge |
| 415 | UnsupportedImage (core); UnsupportedBody |
| 422 | BadImage (core) |
| 429 | Busy |
| 431 | HeadTooLarge |
| 503 | NotReady; TooManyConnections; MemoryBusy; OutOfMemory (core) |
| 504 | DeadlineExceeded |
| 500 | InternalError: a defect of the service; no request may cause one |
"""

import math
import re

from starlette.datastructures import Headers
from starlette.responses import Response

from foveal.errors import FovealError
from foveal.formats import to_json

MEDIA_TYPE = "application/problem+json"
DISCARDED_BYTES = 1_000_000  # the largest body of a rejected request that is read and discarded, to keep the connection
_FOLDERS = re.compile(r"(?<![\w./])/(?:[^\s/'\"]+/)+")


class RequestError(FovealError):
    """An error of the HTTP request, not of an image. `headers` are added to the response."""

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = headers or {}


class ClosingError(RequestError):
    """An error with a response before the body was read to its end; the connection cannot be reused."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"connection": "close"})


class RetryError(RequestError):
    """A temporary error; a retry should succeed after about `retry_after_s` seconds (Retry-After)."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail, {"retry-after": str(max(1, math.ceil(retry_after_s)))})


class Unauthorised(RequestError):
    """API keys are set, and the request has none or a wrong one."""

    title, status = "API key missing or wrong", 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"www-authenticate": "Bearer"})


class NoSuchPath(RequestError):
    """No route has this path."""

    title, status = "No such path", 404


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    title, status = "Method not allowed", 405


class NotAcceptable(RequestError):
    """`Accept` allows none of the media types of this route."""

    title, status = "No acceptable media type", 406


class UploadTooSlow(ClosingError):
    """The body did not arrive in time."""

    title, status = "Upload too slow", 408


class BodyTooLarge(ClosingError):
    """More bytes or more images than allowed in one request."""

    title, status = "Request too large", 413


class BadHead(ClosingError):
    """What came is not HTTP/1.1."""

    title, status = "Malformed request", 400


class HeadTooLarge(ClosingError):
    """The request line and the header fields have more bytes, or more fields, than allowed."""

    title, status = "Request head too large", 431


class UnsupportedBody(ClosingError):
    """The Content-Type or Content-Encoding of the body is not supported."""

    title, status = "Unsupported request body", 415


class Busy(RetryError):
    """The queue is full, or an API key is over its rate limit; Retry-After says when to retry."""

    title, status = "Too many requests", 429


class NotReady(RetryError):
    """The models are being loaded, or a package failed its golden check."""

    title, status = "Not ready", 503


class TooManyConnections(ClosingError):
    """All connections that may be open are in use by requests."""

    title, status = "Too many connections", 503


class MemoryBusy(ClosingError):
    """The memory that requests may take is in use; Retry-After says when to retry."""

    title, status = "Memory in use", 503

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))


class DeadlineExceeded(RequestError):
    """The response was not ready in time; images not computed by then are dropped from the queue."""

    title, status = "Deadline exceeded", 504


class InternalError(RequestError):
    """A defect of the service. The detail holds only the request's id, under which the log has the traceback."""

    title, status = "Internal error", 500


def problem(error: FovealError) -> dict[str, object]:
    """The problem object. `type` is the URL of the error in the served documentation."""
    return {
        "type": f"/v1/docs#{anchor(error.title)}",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
    }


def without_folders(text: str) -> str:
    """Text for anyone who asks: of each absolute path only the last name, since folders tell about the machine."""
    return _FOLDERS.sub("…/", text)


def anchor(title: str) -> str:
    """Fragment of an error's URL in the served documentation."""
    return title.lower().replace(" ", "-")


def problem_response(error: FovealError) -> Response:
    """The response to a request that failed as a whole."""
    headers = error.headers if isinstance(error, RequestError) else {}
    return Response(to_json(problem(error)), error.status, headers, MEDIA_TYPE)


def rejection(error: RequestError, headers: Headers) -> Response:
    """The response to a request whose body was not read.

    A small body is read and discarded, so that the connection can be reused; after a large body, or one of unknown
    length, the connection is closed.
    """
    declared = headers.get("content-length", "0")
    small = declared.isascii() and declared.isdigit() and int(declared[:20]) <= DISCARDED_BYTES
    reusable = small and "transfer-encoding" not in headers
    own = error.headers if reusable else error.headers | {"connection": "close"}
    return Response(to_json(problem(error)), error.status, own, MEDIA_TYPE)
