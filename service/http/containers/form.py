"""`multipart/form-data` (`parse`): parts named image, images, file or files, with or without brackets -> uploads."""

import re
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from foveal.errors import BadRequest
from foveal.options import OPTIONS
from foveal.service.http.containers.limits import at_least_one, clean_name, too_many
from foveal.service.inference.served_model import Upload

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PARAMETERS = frozenset({"model", *OPTIONS})
MAX_PADDING = 80  # bytes of blanks behind a boundary
_IMAGE_FIELD = re.compile(r"(image|file)s?(\[\d*\])?", re.ASCII)


def parse(content: bytes, boundary: bytes, max_images: int) -> list[Upload]:
    """The images of a form, in order.

    Raises:
        BadRequest: malformed, or a part of another name. BodyTooLarge: more than `max_images`.
    """
    if not boundary:
        raise BadRequest("multipart/form-data: expected a boundary, got none")
    _check_boundaries(content, b"\r\n--" + boundary, max_images)
    form = _Form(max_images)
    try:
        MultipartParser(boundary, form.callbacks()).write(content)
    except FormParserError as error:
        raise BadRequest(f"multipart/form-data: {error}") from None
    if not form.finished:
        raise BadRequest("multipart/form-data: expected a closing boundary, got the end of the body")
    return at_least_one(form.uploads, "a part named 'image'")


def place_of(parameter: str) -> str:
    """Where a parameter belongs that came as a form field, with an example."""
    return f"parameter {parameter!r} belongs in the query string: ?{parameter}=VALUE"


def _check_boundaries(content: bytes, delimiter: bytes, max_images: int) -> None:
    """Check their number and that each ends its line, so that the parser, in Python, has little to do."""
    at = -1
    for _ in range(max_images + 1):
        at = content.find(delimiter, at + 1)
        if at < 0:
            return
        start = at + len(delimiter)
        behind = content[start : start + MAX_PADDING].lstrip(b" \t")
        if behind.startswith(b"--"):
            return
        if not behind.startswith(b"\r"):
            raise BadRequest("multipart/form-data: expected the end of the line after a boundary, got more")
    raise too_many(max_images)


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
            "on_part_data": lambda data, start, end: self._data.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._filename: str | None = None
        self._data: list[bytes] = []
        self._field, self._value = bytearray(), bytearray()

    def _header(self) -> None:
        if bytes(self._field).strip().lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _headers(self) -> None:
        _, parameters = parse_options_header(self._disposition.decode("latin-1"))
        field = clean_name(parameters.get(b"name", b"").decode(errors="replace"))
        if field in PARAMETERS:
            raise BadRequest(f"multipart/form-data: expected images only; {place_of(field)}")
        if not _IMAGE_FIELD.fullmatch(field):
            raise BadRequest(
                f"multipart/form-data: expected parts named 'image', 'file' or 'files[]', got {field[:80]!r}"
            )
        if len(self.uploads) >= self._max_images:
            raise too_many(self._max_images)
        filename = parameters.get(b"filename")
        self._filename = None if filename is None else clean_name(filename.decode(errors="replace"))

    def _end(self) -> None:
        self.uploads.append(Upload(self._filename, b"".join(self._data)))

    def _finish(self) -> None:
        self.finished = True
