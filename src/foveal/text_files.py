"""Text files as tools on all systems write them (`read_text`)."""

import codecs
from pathlib import Path

from foveal.errors import BadData, FovealError

# UTF-32's little-endian mark begins with UTF-16's: it comes first
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, error: type[FovealError] = BadData) -> str:
    """The text of a file: UTF-8, with or without a byte order mark, or UTF-16 or UTF-32 with one.

    Args:
        path: a regular file.
        error: what to raise.

    Raises:
        FovealError: of the type `error`: no regular file, not readable, or another encoding; the path is named.
    """
    if not path.is_file():
        raise error(f"{path}: expected a text file, got {'none of that name' if not path.exists() else 'no file'}")
    try:
        return decode_text(path.read_bytes())
    except OSError as cause:
        raise error(f"{path}: expected a readable text file: {cause.strerror}") from None
    except ValueError as cause:
        raise error(f"{path}: {cause}") from None


def decode_text(data: bytes) -> str:
    """The text of these bytes, without the mark.

    Raises:
        ValueError: another encoding; says which byte.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as cause:
        found = f"got byte 0x{data[cause.start]:02x} at {cause.start}"
        raise ValueError(f"expected UTF-8 text (or UTF-16 with a byte order mark), {found}") from None
    if "\0" in text:
        raise ValueError("expected text, got binary data (a NUL character)")
    return text


def plain_line(text: object, limit: int = 200) -> str:
    """Somebody else's text as one line for a page of Markdown: no control characters, no markup."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:limit]
    return line.replace("<", "&lt;").replace("`", "'")
