"""`multipart/form-data` (`parse`): parts named image, images, file or files, with or without brackets -> uploads.

The parts are found by searching the whole body for the boundary. A parser of streams, which looks at single bytes, can
be made to look at each one of millions.
"""

import re
from collections.abc import Iterator

from python_multipart.multipart import parse_options_header

from foveal.errors import BadRequest
from foveal.options import OPTIONS
from foveal.service.http.containers.limits import at_least_one, clean_name, too_many
from foveal.service.inference.served_model import Upload

PARAMETERS = frozenset({"model", *OPTIONS})
MAX_BOUNDARY = 256  # bytes; RFC 2046 allows 70
MAX_PADDING = 80  # blanks behind a boundary
MAX_FIELDS = 16  # of a part's header
MAX_HEAD = 8192  # bytes of a part's header
SEARCH_STEP = 1 << 20  # bytes searched at a time: other threads run in between
_IMAGE_FIELD = re.compile(r"(image|file)s?(\[\d*\])?", re.ASCII)


class _Fault(BadRequest):
    """The form is malformed; the message says how."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"multipart/form-data: {detail}")


def parse(content: bytes, boundary: bytes, max_images: int) -> list[Upload]:
    """The images of a form, in order.

    Raises:
        BadRequest: malformed, or a part of another name. BodyTooLarge: more than `max_images`.
    """
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise _Fault(f"expected a boundary of 1 to {MAX_BOUNDARY} bytes, got {len(boundary)}")
    uploads: list[Upload] = []
    for start, end in _parts(content, b"\r\n--" + boundary):
        if len(uploads) == max_images:
            raise too_many(max_images)
        uploads.append(_upload(content, start, end))
    return at_least_one(uploads, "a part named 'image'")


def place_of(parameter: str) -> str:
    """Where a parameter belongs that came as a form field, with an example."""
    return f"parameter {parameter!r} belongs in the query string: ?{parameter}=VALUE"


def _parts(content: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each part: all between two delimiters. What is before the first or after the last is ignored."""
    first = delimiter[2:]  # a body may begin with it
    found = 0 if content.startswith(first) else _find(content, delimiter, 0) + 2
    behind = found + len(first)
    start = None
    while found >= 2 or start is None:
        if found == 1:
            raise _Fault("expected the boundary of the Content-Type header, got none in the body")
        if start is not None:
            yield start, found - 2
        if content.startswith(b"--", behind):
            return
        start = _line_end(content, behind)
        found = _find(content, delimiter, start - 2) + 2  # an empty part shares the line end
        behind = found + len(first)
    raise _Fault("expected a closing boundary, got the end of the body")


def _find(content: bytes, delimiter: bytes, start: int) -> int:
    """As bytes.find."""
    for step in range(start, len(content), SEARCH_STEP):
        found = content.find(delimiter, step, step + SEARCH_STEP + len(delimiter) - 1)
        if found >= 0:
            return found
    return -1


def _line_end(content: bytes, at: int) -> int:
    """Where the next line starts; a boundary's line has nothing but blanks behind it."""
    rest = content[at : at + MAX_PADDING]
    blanks = len(rest) - len(rest.lstrip(b" \t"))
    if not rest.startswith(b"\r\n", blanks):
        raise _Fault("expected the end of the line after a boundary, got more")
    return at + blanks + 2


def _upload(content: bytes, start: int, end: int) -> Upload:
    """The image of a part: its header, an empty line, its bytes."""
    if content.startswith(b"\r\n", start):
        head_end = start - 2
    else:
        head_end = content.find(b"\r\n\r\n", start, min(end, start + MAX_HEAD))
    if head_end < 0:
        raise _Fault(f"expected a part's header of at most {MAX_HEAD} bytes and an empty line, got none")
    parameters: dict[bytes, bytes] = {}
    lines = content[start : max(start, head_end)].split(b"\r\n")
    if len(lines) > MAX_FIELDS:
        raise _Fault(f"expected at most {MAX_FIELDS} header fields in a part, got {len(lines)}")
    for line in lines:
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            _, parameters = parse_options_header(value.decode("latin-1"))
    field = clean_name(parameters.get(b"name", b"").decode(errors="replace"))
    if field in PARAMETERS:
        raise _Fault(f"expected images only; {place_of(field)}")
    if not _IMAGE_FIELD.fullmatch(field):
        raise _Fault(f"expected parts named 'image', 'file' or 'files[]', got {field[:80]!r}")
    filename = parameters.get(b"filename")
    name = None if filename is None else clean_name(filename.decode(errors="replace"))
    return Upload(name, content[head_end + 4 : end])
