"""Request body parsing (`read_uploads`). The declared type selects the container; the bytes decide an image's format.

- `multipart/form-data`: one or many parts named `image`.
- `application/json`: {"images": [{"name": "a.jpg", "base64": "…"}]}.
- `image/*`, `application/octet-stream`, curl's default or nothing: the raw bytes of one image.

Limits are enforced while the body streams in: a body over a limit is rejected unread. URLs are never fetched.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from foveal.errors import BadRequest
from foveal.service.errors import BodyTooLarge, UnsupportedBody, UploadTooSlow
from foveal.service.http.schemas import JsonBody
from foveal.service.inference.memory import Lease
from foveal.service.inference.served_model import Upload
from foveal.service.settings import Settings

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")
MAX_NAME = 255  # characters, as file systems allow


async def read_uploads(request: Request, settings: Settings) -> list[Upload]:
    """All images of a request, in order; at least one.

    Raises:
        UnsupportedBody, BodyTooLarge, UploadTooSlow, BadRequest; ClientDisconnect: the client disconnected.
    """
    media_type, parameters = parse_options_header(request.headers.get("content-type"))
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise UnsupportedBody(f"expected no Content-Encoding, got {encoding[:40]!r}")
    container = media_type.decode("latin-1")
    if container == "multipart/form-data":
        return await _multipart(request, settings, parameters.get(b"boundary", b""))
    if container == "application/json":
        request.scope["memory"].copies = 3  # the text, its base64, the images
        content = await _whole(request, settings)
        return await asyncio.to_thread(_json, content, settings.max_images)
    if container in RAW or container.startswith("image/"):
        return [Upload(None, await _whole(request, settings))]
    raise UnsupportedBody(f"expected image/*, multipart/form-data or application/json, got {container[:80]!r}")


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
    total, more, end = 0, True, loop.time() + settings.upload_s
    try:
        async with asyncio.timeout_at(min(end, loop.time() + settings.upload_idle_s)) as timer:
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
                timer.reschedule(min(end, loop.time() + settings.upload_idle_s))
    except TimeoutError:
        raise UploadTooSlow(
            f"expected the body within {settings.upload_s:g} s and never {settings.upload_idle_s:g} s without a "
            f"byte, got {total} bytes"
        ) from None


async def _reserve(lease: Lease, count: int) -> None:
    if not await lease.body(count):
        raise BodyTooLarge(f"expected a body that fits into the service's memory, got {count} bytes")


async def _whole(request: Request, settings: Settings) -> bytes:
    parts: list[bytes] = []
    await _receive(request, settings, parts.append)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _multipart(request: Request, settings: Settings, boundary: bytes) -> list[Upload]:
    if not boundary:
        raise BadRequest("multipart/form-data: expected a boundary, got none")
    form = _Form(settings.max_images)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        await _receive(request, settings, parser.write)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest(f"multipart/form-data: {error}") from None
    if not form.finished:
        raise BadRequest("multipart/form-data: expected a closing boundary, got the end of the body")
    return _at_least_one(form.uploads, "a part named 'image'")


class _Form:
    """Uploads of a multipart form, collected from the events of python-multipart."""

    def __init__(self, max_images: int) -> None:
        self.uploads: list[Upload] = []
        self.finished = False
        self._max_images = max_images
        self._begin()

    def callbacks(self) -> "MultipartCallbacks":
        """Handlers of the parser's events."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._filename: str | None = None
        self._data = bytearray()
        self._field, self._value = bytearray(), bytearray()

    def _header(self) -> None:
        if bytes(self._field).strip().lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _headers(self) -> None:
        _, parameters = parse_options_header(self._disposition.decode("latin-1"))
        field = parameters.get(b"name", b"").decode(errors="replace")
        if field != "image":
            raise BadRequest(f"multipart/form-data: expected parts named 'image', got {field[:80]!r}")
        if len(self.uploads) >= self._max_images:
            raise _too_many(self._max_images)
        filename = parameters.get(b"filename")
        self._filename = None if filename is None else clean_name(filename.decode(errors="replace"))

    def _end(self) -> None:
        self.uploads.append(Upload(self._filename, bytes(self._data)))

    def _finish(self) -> None:
        self.finished = True


def _json(content: bytes, max_images: int) -> list[Upload]:
    try:
        body = JsonBody.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise BadRequest(f"application/json: {where}: {first['msg']}"[:300]) from None
    if len(body.images) > max_images:
        raise _too_many(max_images)
    uploads = []
    for number, image in enumerate(body.images):
        try:
            data = base64.b64decode(image.base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"application/json: images.{number}.base64: {error}") from None
        uploads.append(Upload(None if image.name is None else clean_name(image.name), data))
    return _at_least_one(uploads, "at least one entry of 'images'")


def clean_name(name: str) -> str:
    """A client's file name, safe for JSON, logs and terminals: without control characters, of limited length."""
    return "".join(c if c.isprintable() else "�" for c in name[:MAX_NAME])


def _at_least_one(uploads: list[Upload], what: str) -> list[Upload]:
    if not uploads:
        raise BadRequest(f"expected {what}, got none")
    return uploads


def _too_many(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"expected at most {limit} images in one request, got more")
