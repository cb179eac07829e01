"""JSON bodies (`parse`): {"images": [{"name": "a.jpg", "base64": "…"}]} -> uploads.

A general JSON parser builds everything that a body holds before anything is checked: a gigabyte of empty objects for a
few megabytes of text. This one reads what it expects, token by token, and stops at the first fault; strings are found
by searching for their end and are copied once.
"""

import binascii
import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder

from foveal.errors import BadRequest
from foveal.service.http.containers import base64_text
from foveal.service.http.containers.limits import at_least_one, clean_name, too_many
from foveal.service.inference.served_model import Upload

MAX_TEXT = 1 << 18  # bytes of a key or a name
MAX_BLANKS = 1 << 16  # blanks between two tokens
ESCAPE_STEP, MAX_ESCAPES = 1 << 16, 1 << 13  # bytes of base64 unescaped at a time, and escapes among them
_STRING, _LINES = JSONDecoder(), JSONDecoder(strict=False)  # of JSON strings; the second takes line breaks in them
_BLANKS = re.compile(rb"[ \t\r\n]{0,%d}" % MAX_BLANKS)
_KINDS = {"{": "an object", "[": "a list", '"': "a string", "t": "true", "f": "false", "n": "null", "": "the end"}
_KINDS |= dict.fromkeys("-0123456789", "a number")


def parse(content: bytes, max_images: int) -> list[Upload]:
    """The images of a body, in order.

    Raises:
        BadRequest: not such a body; the message names the member. BodyTooLarge: more than `max_images`.
    """
    try:
        uploads = _uploads(_Reader(content), max_images)
    except _Fault as fault:
        raise BadRequest(f"application/json: {fault}") from None
    return at_least_one(uploads, "at least one entry of 'images'")


def _uploads(reader: "_Reader", max_images: int) -> list[Upload]:
    uploads: list[Upload] = []
    found = False
    for _ in reader.members("body", ("images",)):
        found = True
        for number in reader.items("images"):
            if number == max_images:
                raise too_many(max_images)
            uploads.append(_upload(reader, f"images.{number}"))
    reader.end()
    if not found:
        raise _Fault("body: expected the key 'images', got none")
    return uploads


def _upload(reader: "_Reader", where: str) -> Upload:
    name: str | None = None
    data: bytes | None = None
    for member in reader.members(where, ("base64", "name")):
        if member == "base64":
            try:
                data = base64_text.decode(reader.base64(f"{where}.base64"))
            except (ValueError, binascii.Error) as error:
                raise _Fault(f"{where}.base64: {error}") from None
        elif not reader.takes(b"null"):
            name = clean_name(reader.text(f"{where}.name"))
    if data is None:
        raise _Fault(f"{where}: expected the key 'base64', got none")
    return Upload(name, data)


class _Fault(Exception):
    """The body is not what was expected; the message names the member."""


class _Reader:
    """Position in a body, with methods that each read one thing or raise `_Fault`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:4]:
            raise _Fault("expected UTF-8, got another encoding")

    def members(self, where: str, known: tuple[str, ...]) -> Iterator[str]:
        """The keys of an object, each one of `known` and once; the caller reads the value before the next key."""
        self._expect(b"{", where, "an object")
        seen: set[str] = set()
        closed = self.takes(b"}")
        while not closed:
            key = self.text(where, "a key")
            if key not in known or key in seen:
                why = "expected once, got twice" if key in seen else f"unknown key; expected {' and '.join(known)}"
                raise _Fault(f"{where}: {clean_name(key[:80])!r}: {why}")
            seen.add(key)
            self._expect(b":", f"{where}: {key!r}", "':'")
            yield key
            closed = not self.takes(b",")
            if closed:
                self._expect(b"}", where, "',' or '}'")

    def items(self, where: str) -> Iterator[int]:
        """The index of each item of a list; the caller reads the item before the next."""
        self._expect(b"[", where, "a list")
        number = 0
        closed = self.takes(b"]")
        while not closed:
            yield number
            number += 1
            closed = not self.takes(b",")
            if closed:
                self._expect(b"]", where, "',' or ']'")

    def text(self, where: str, what: str = "a string") -> str:
        """A string of at most MAX_TEXT bytes, unescaped."""
        self._expect(b'"', where, what)
        start, content = self._at - 1, self._content
        try:  # as Latin-1, so that characters are bytes
            _, length = _STRING.raw_decode(content[start : start + MAX_TEXT].decode("latin-1"))
            self._at = start + length
            return str(_STRING.decode(content[start : self._at].decode()))
        except JSONDecodeError:
            raise _Fault(f"{where}: expected a JSON string of at most {MAX_TEXT} bytes") from None
        except UnicodeDecodeError:
            raise _Fault(f"{where}: expected UTF-8, got other bytes") from None

    def base64(self, where: str) -> bytes | memoryview:
        """A string without quotes in it, unescaped; line breaks are passed on, though JSON allows none."""
        self._expect(b'"', where, "a string")
        start, end = self._at, self._content.find(b'"', self._at)
        if end < 0:
            raise _Fault(f"{where}: expected the end of the string, got the end of the body")
        self._at = end + 1
        if self._content.find(b"\\", start, end) < 0:
            return memoryview(self._content)[start:end]
        return b"".join(_unescaped(self._content, start, end, where))

    def takes(self, token: bytes) -> bool:
        """Whether `token` comes next; it is then read."""
        match = _BLANKS.match(self._content, self._at)
        assert match is not None  # it may be empty
        self._at = match.end()
        if not self._content.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def end(self) -> None:
        """The end of the body."""
        self.takes(b"")
        if self._at < len(self._content):
            raise _Fault(f"body: expected its end after the object, got {self._next()}")

    def _expect(self, token: bytes, where: str, what: str) -> None:
        if not self.takes(token):
            raise _Fault(f"{where}: expected {what}, got {self._next()}")

    def _next(self) -> str:
        """What comes next, in words."""
        character = self._content[self._at : self._at + 4].decode(errors="replace")[:1]
        return _KINDS.get(character) or repr(character)


def _unescaped(content: bytes, start: int, end: int, where: str) -> Iterator[bytes]:
    r"""Base64 text with the escapes of JSON undone: PHP writes `\/`, .NET `\u002B`, others `\n` at each line."""
    while start < end:
        stop = min(start + ESCAPE_STEP, end)
        if stop < end:  # an escape has at most 6 bytes: none is cut
            last = content.rfind(b"\\", stop - 6, stop)
            stop = stop if last < 0 else last
        if content.count(b"\\", start, stop) > MAX_ESCAPES:
            raise _Fault(f"{where}: expected base64, got mostly escapes")
        try:
            text, _ = _LINES.raw_decode('"' + content[start:stop].decode("latin-1") + '"')
            yield text.encode("latin-1")
        except (JSONDecodeError, UnicodeEncodeError):
            raise _Fault(
                f"{where}: expected base64, got a string with escapes that are none of its characters"
            ) from None
        start = stop
