"""Fields of annotations (`number`, `identity`, `class_name`): values as tools write them, or what is wrong."""

import math
from collections.abc import Sequence
from typing import Any


class BadField(ValueError):
    """A value that is not what it must be; `kind` is one of findings.KINDS."""

    def __init__(self, message: str, kind: str = "unreadable annotation") -> None:
        super().__init__(message)
        self.kind = kind


def shown(value: Any) -> str:
    """A value in a message, shortened."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits than Python prints, deep nesting
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"


MAX_NUMBER = 1e12  # beyond every coordinate and area; float32 holds it


def number(value: Any, field: str) -> float:
    """A finite number: an int, a float, or text that says one.

    Raises:
        BadField: another value; NaN and infinities have a kind of their own.
    """
    if type(value) is not float:
        if type(value) is not int and not isinstance(value, str):
            raise BadField(f"{field}: expected a number, got {shown(value)}")
        try:
            value = float(value)
        except (ValueError, OverflowError):
            raise BadField(f"{field}: expected a number, got {shown(value)}") from None
    if not math.isfinite(value):
        raise BadField(f"{field}: expected a finite number, got {value}", "not a number")
    if abs(value) > MAX_NUMBER:
        raise BadField(f"{field}: expected a number within ±{MAX_NUMBER:g}, got {value:g}")
    return value  # type: ignore[no-any-return]


def numbers(values: Any, field: str, count: int | None = None) -> list[float]:
    """A list of finite numbers, `count` of them.

    Raises:
        BadField: another value.
    """
    if not isinstance(values, list | tuple) or count not in (None, len(values)):
        many = "numbers" if count is None else f"{count} numbers"
        raise BadField(f"{field}: expected a list of {many}, got {shown(values)}")
    return [number(value, field) for value in values]


def identity(value: Any, field: str) -> int | str:
    """An id: 1, 1.0 and "1" are the same; other text is itself.

    Raises:
        BadField: neither a whole number nor text.
    """
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip():
        text = value.strip()
        return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else text
    raise BadField(f"{field}: expected an id, got {shown(value)}")


def class_name(value: Any, field: str = "name") -> str:
    """The name of a class, without blanks around it.

    Raises:
        BadField: no text, or empty text.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise BadField(f"{field}: expected the name of a class, got {shown(value)}", "no class name")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadField(f"{field}: expected text that UTF-8 can write, got {shown(value)}")
    return value.strip()


def flag(value: Any) -> bool:
    """Whether 1, true, "1" or "true" stands there; anything else is no."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in ("1", "true", "yes"))


def pairs(values: Sequence[float], field: str) -> Sequence[float]:
    """Alternating x and y.

    Raises:
        BadField: an odd number of them.
    """
    if len(values) % 2:
        raise BadField(f"{field}: expected pairs of x and y, got {len(values)} numbers")
    return values
