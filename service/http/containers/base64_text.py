"""Base64 as clients write it (`decode`): data: URIs, line breaks, the URL-safe alphabet, with or without padding."""

import binascii

DATA_URI_HEAD = 1024  # bytes in which a data: URI must name its encoding
STEP = 1 << 20  # characters decoded at a time, a multiple of 4
_BLANKS = b" \t\r\n\v\f"
_STANDARD = bytes.maketrans(b"-_", b"+/")  # URL-safe characters, as the decoder knows them
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def decode(text: bytes | memoryview) -> bytes:
    """The bytes that `text` states. Linear in its length; text in the strict form of RFC 4648 is not copied.

    Raises:
        ValueError: neither base64 nor a data: URI of it; the message says what was expected and what came.
    """
    start = bytes(text[:DATA_URI_HEAD]).lower()
    if start.lstrip(_BLANKS).startswith(b"data:"):
        marker = start.find(b";base64,")
        if marker < 0:
            raise ValueError("expected ';base64,' in the data: URI, got none")
        text = text[marker + len(b";base64,") :]
    try:
        return _strict(text)
    except binascii.Error:
        return _lenient(bytes(text))


def _strict(text: bytes | memoryview) -> bytes:
    """RFC 4648 in steps, between which other threads run. Raises binascii.Error."""
    parts = [binascii.a2b_base64(text[i : i + STEP], strict_mode=True) for i in range(0, len(text), STEP)]
    if any(len(part) != STEP // 4 * 3 for part in parts[:-1]):
        raise binascii.Error  # padding before the end
    return b"".join(parts)


def _lenient(text: bytes) -> bytes:
    digits = text.translate(_STANDARD, delete=_BLANKS)
    padded, digits = len(digits), digits.rstrip(b"=")
    strange = digits.translate(None, delete=_ALPHABET)
    if strange:
        raise ValueError(f"expected base64, got {_shown(strange)!r} at character {text.find(strange[:1]) + 1}")
    missing = -len(digits) % 4
    if missing == 3 or padded - len(digits) not in (0, missing):
        raise ValueError(f"expected base64, got {len(digits)} characters and {padded - len(digits)} of padding")
    return _strict(digits + b"=" * missing)


def _shown(strange: bytes) -> str:
    """The first character of UTF-8 text."""
    return strange[:4].decode(errors="replace")[:1]
