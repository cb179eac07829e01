"""Text for people (`say`, `printable`): names and messages from outside never reach a terminal raw.

A file name may hold escape sequences that move the cursor or recolour the screen, line breaks that forge a line of a
log, or marks that turn the direction of the text.
"""

import sys
import unicodedata


def printable(text: str) -> str:
    """Text with everything invisible written as an escape: control characters, marks of direction, undecodable bytes.

    A line break is kept and its continuation indented, so that it cannot pass for a line of ours.
    """
    if text.isprintable():
        return text
    return "".join("\n    " if character == "\n" else _shown(character) for character in text)


def say(line: str) -> None:
    """One line on stderr, named as ours."""
    if sys.stderr is not None:  # closed by whoever started us
        print(f"foveal: {printable(line)}", file=sys.stderr, flush=True)


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
