"""Request bodies (`read_body`, `Body`). The declared type selects the container; the bytes decide an image's format.

- `multipart/form-data`: one or many parts named `image`.
- `application/json`: {"images": [{"name": "a.jpg", "base64": "…"}]}.
- `image/*`, `application/octet-stream`, curl's default or nothing: the raw bytes of one image.

Limits are enforced while the body streams in: a body over a limit is rejected unread. URLs are never fetched.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from foveal.errors import BadImage, FovealError
from foveal.service.errors import BodyTooLarge, UnsupportedBody, UploadTooSlow
from foveal.service.http.containers import form, json_body
from foveal.service.http.containers.hints import hint
from foveal.service.inference.memory import Lease
from foveal.service.inference.served_model import Upload
from foveal.service.settings import Settings

FORM, JSON_BODY = "multipart/form-data", "application/json"
RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")
MIN_BYTES_PER_S = 1000  # of an upload, on average, once `upload_idle_s` has passed
INLINE_BYTES = 1 << 16  # a larger body is parsed in a thread: parsing takes about 5 ms a megabyte


@dataclass(frozen=True)
class Body:
    """A body as received: declared media type, boundary of a form, bytes."""

    media_type: str
    boundary: bytes
    content: bytes

    async def uploads(self, max_images: int) -> list[Upload]:
        """All images, in order; at least one. Large bodies are parsed in a thread.

        Raises:
            BadRequest, BodyTooLarge: malformed, or too many images.
        """
        if self.media_type not in (FORM, JSON_BODY):
            return [Upload(None, self.content)]
        if len(self.content) <= INLINE_BYTES:
            return self._parse(max_images)
        return await asyncio.to_thread(self._parse, max_images)

    def _parse(self, max_images: int) -> list[Upload]:
        if self.media_type == JSON_BODY:
            return json_body.parse(self.content, max_images)
        return form.parse(self.content, self.boundary, max_images)


def explained(error: FovealError, media_type: str, content: bytes) -> FovealError:
    """The error of a request's only image, with a remedy where the body is recognised as something else."""
    raw = media_type not in (FORM, JSON_BODY) and isinstance(error, BadImage)
    remedy = hint(media_type, content) if raw else ""
    return UnsupportedBody(f"{error}; {remedy}") if remedy else error


async def read_body(request: Request, settings: Settings) -> Body:
    """The whole body of a request.

    Raises:
        UnsupportedBody, BodyTooLarge, UploadTooSlow; ClientDisconnect: the client disconnected.
    """
    declared, parameters = parse_options_header(request.headers.get("content-type"))
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise UnsupportedBody(f"expected no Content-Encoding, got {encoding[:40]!r}")
    media_type = declared.decode("latin-1")
    if media_type not in (FORM, JSON_BODY, *RAW) and not media_type.startswith("image/"):
        raise UnsupportedBody(f"expected image/*, {FORM} or {JSON_BODY}, got {media_type[:80]!r}")
    if media_type in (FORM, JSON_BODY):  # the body; JSON's base64 strings; the images
        request.scope["memory"].copies = 2 if media_type == FORM else 3
    return Body(media_type, parameters.get(b"boundary", b""), await _whole(request, settings))


async def _receive(request: Request, settings: Settings, sink: Callable[[bytes], object]) -> None:
    """Pass the body to `sink` chunk by chunk, within the limits on bytes and time."""
    limit = settings.max_body_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise BodyTooLarge(f"expected a body of at most {limit} bytes, got {declared[:20]}")
    lease: Lease = request.scope["memory"]
    if declared.isascii() and declared.isdigit():
        await _reserve(lease, int(declared[:20]))
    loop = asyncio.get_running_loop()
    total, more, start = 0, True, loop.time()
    try:
        async with asyncio.timeout(min(settings.upload_s, settings.upload_idle_s)) as timer:
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk: bytes = message.get("body", b"")
                total += len(chunk)
                if total > limit:
                    raise BodyTooLarge(f"expected a body of at most {limit} bytes, got more")
                await _reserve(lease, total)
                sink(chunk)
                more = message.get("more_body", False)
                slowest = settings.upload_idle_s + total / MIN_BYTES_PER_S
                timer.reschedule(min(start + settings.upload_s, start + slowest, loop.time() + settings.upload_idle_s))
    except TimeoutError:
        raise UploadTooSlow(
            f"expected the body within {settings.upload_s:g} s, {MIN_BYTES_PER_S} bytes a second and never "
            f"{settings.upload_idle_s:g} s without a byte, got {total} bytes"
        ) from None


async def _reserve(lease: Lease, count: int) -> None:
    if not await lease.body(count):
        raise BodyTooLarge(f"expected a body that fits into the service's memory, got {count} bytes")


async def _whole(request: Request, settings: Settings) -> bytes:
    parts: list[bytes] = []
    await _receive(request, settings, parts.append)
    return parts[0] if len(parts) == 1 else b"".join(parts)
