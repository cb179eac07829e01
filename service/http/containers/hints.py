"""What a body that is no image may be instead (`hint`), in words that tell the client how to send it."""

import re

from foveal.service.http.containers.form import PARAMETERS, place_of

CURL_DEFAULT = "application/x-www-form-urlencoded"  # of `curl -d` and `curl --data-binary`
SHOWN = 2048  # bytes of the body that are looked at
_FIELD = re.compile(rb"(?:^|&)([A-Za-z_][\w.-]{0,40})(?:\[\]|%5B%5D)?=")
_BASE64 = (b"/9j/", b"iVBORw0KGgo", b"UklGR", b"R0lGOD", b"SUkq", b"TU0AK", b"Qk0")  # JPEG, PNG, WebP, GIF, TIFF, BMP


def hint(media_type: str, data: bytes) -> str:
    """One remedy for a raw body that was refused as an image; empty: none is known. `media_type` as declared."""
    start = data[:SHOWN].lstrip()
    if start.startswith((b"{", b"[")):
        return "the body looks like JSON: send the header 'Content-Type: application/json'"
    if start[:5].lower() == b"data:" or start.startswith(_BASE64):
        return 'the body is base64 text: send the bytes themselves, or JSON, {"images": [{"base64": …}]}'
    if start.startswith(b"--") and b"content-disposition" in start.lower():
        return "the body looks like a form: send 'Content-Type: multipart/form-data; boundary=…', as `curl -F` does"
    if start.startswith(b"@"):
        return "the body is a file's name: `curl --data-binary @FILE` sends its content"
    if media_type != CURL_DEFAULT:
        return ""
    fields = [name.decode() for name in _FIELD.findall(start)] if start.isascii() else []
    for name in fields:
        if name in PARAMETERS:
            return place_of(name)
    if fields:
        return f"the body is a form with the field {fields[0]!r}: send the image itself, `curl --data-binary @FILE`"
    if data and not any(byte in data for byte in (b"\r", b"\n")):
        return "the body has no line feed, as if sent by `curl -d`, which removes them: use `curl --data-binary @FILE`"
    return ""
