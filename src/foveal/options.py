"""Per-request options (`Options`), their definitions (`OPTIONS`) and a package's defaults for them (`Defaults`).

Options are an argument of a prediction, never state of a model. HTTP query parameters, CLI flags and Python keywords go
through the same definitions, so that all three accept and refuse the same values in the same words.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from math import inf
from numbers import Integral, Real
from typing import Any, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field

from foveal.errors import BadRequest, UnknownName

MASK_FORMATS = ("rle", "polygon", "png", "none")
MAX_DETECTIONS = 300
MAX_TOP_K = 100_000
TILE_PX = (128, 8192)  # smallest and largest window of `tile`


@dataclass(frozen=True)
class Option(ABC):
    """Definition of one option; the subclasses say which values it takes."""

    description: str

    @abstractmethod
    def parse(self, text: str) -> Any:
        """The value that a query parameter or CLI flag states.

        Raises:
            ValueError: malformed or out of range; the message says what was expected.
        """

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value as it is stored, from a Python caller's. Raises ValueError as `parse`."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """JSON schema of the query parameter."""


@dataclass(frozen=True)
class WholeNumber(Option):
    """An integer from `low` to `high`."""

    low: int
    high: int

    def parse(self, text: str) -> int:
        """Decimal digits."""
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise ValueError(self._expected)
        return self.check(int(text))

    def check(self, value: Any) -> int:
        """An int, or a NumPy integer; not a bool."""
        if isinstance(value, bool) or not isinstance(value, Integral) or not self.low <= int(value) <= self.high:
            raise ValueError(self._expected)
        return int(value)

    def schema(self) -> dict[str, Any]:
        """Integer with both bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    @property
    def _expected(self) -> str:
        return f"expected a whole number {self.low}..{self.high}"


@dataclass(frozen=True)
class Fraction(Option):
    """A number from 0 to 1."""

    def parse(self, text: str) -> float:
        """Anything that float() reads."""
        try:
            return self.check(float(text))
        except ValueError:
            raise ValueError("expected a number 0..1") from None

    def check(self, value: Any) -> float:
        """An int, float or NumPy scalar; NaN is refused."""
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= (number := _float(value)) <= 1:
            raise ValueError("expected a number 0..1")
        return number

    def schema(self) -> dict[str, Any]:
        """Number with both bounds."""
        return {"type": "number", "minimum": 0, "maximum": 1}


def _float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return inf


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words."""

    choices: tuple[str, ...]

    def parse(self, text: str) -> str:
        """The word itself."""
        return self.check(text)

    def check(self, value: Any) -> str:
        """The word itself."""
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(f"expected one of {', '.join(self.choices)}")
        return value

    def schema(self) -> dict[str, Any]:
        """String enumeration."""
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True)
class Labels(Option):
    """Labels of the model; separated by commas in text. Which labels there are, `Options.checked` knows."""

    def parse(self, text: str) -> tuple[str, ...]:
        """`a, b` -> ("a", "b")."""
        return tuple(part.strip() for part in text.split(","))

    def check(self, value: Any) -> tuple[str, ...]:
        """One label, or several in a list, tuple or set."""
        labels = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
        if not all(isinstance(label, str) for label in labels):
            raise ValueError("expected labels, as a list of strings")
        return tuple(str(label) for label in labels)  # NumPy's strings too

    def schema(self) -> dict[str, Any]:
        """String."""
        return {"type": "string"}


OPTIONS: dict[str, Option] = {
    "top_k": WholeNumber("how many classes to return, best first", 1, MAX_TOP_K),
    "score_threshold": Fraction("only objects with a score strictly greater than this are returned"),
    "iou_threshold": Fraction("NMS: of two boxes that overlap more than this the one with the lower score is dropped"),
    "max_detections": WholeNumber("objects at most, applied after NMS", 1, MAX_DETECTIONS),
    "classes": Labels("labels to keep, separated by commas"),
    "mask_format": Choice("how masks are written", MASK_FORMATS),
    "tile": WholeNumber("answer a large image in overlapping windows of so many of its pixels, for detail", *TILE_PX),
}


class Defaults(BaseModel):
    """A package's defaults of the per-request options; None where an option does not apply to the task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int | None = Field(None, ge=1)
    score_threshold: float | None = Field(None, ge=0, le=1)
    iou_threshold: float | None = Field(None, ge=0, le=1)
    max_detections: int | None = Field(None, ge=1, le=MAX_DETECTIONS)
    mask_format: str | None = None
    classes: tuple[str, ...] | None = Field(None, min_length=1)


class OptionValues(TypedDict, total=False):
    """Keywords of `Options` and of a call of a model, for type checkers and editors."""

    top_k: int | None
    score_threshold: float | None
    iou_threshold: float | None
    max_detections: int | None
    classes: str | Iterable[str] | None
    mask_format: str | None
    tile: int | None


@dataclass(frozen=True, init=False, repr=False)
class Options:
    """What a caller may choose for one prediction; what is left out, or None, is as the model's package says.

    Most callers need none: `model("a.png", score_threshold=0.6)` makes them. Options are immutable and compare by
    value; every value is checked here, whoever states it. Whether an option applies to a model's task, and whether the
    model has a class, is checked when they are used.

    Args:
        top_k: classification: how many classes to return, best first; 1..100000.
        score_threshold: detection, instances: only objects with a score strictly greater than this; 0..1.
        iou_threshold: detection, instances: of two boxes that overlap more than this the one with the lower score is
            dropped (NMS); 0..1.
        max_detections: detection, instances: objects at most, applied after NMS; 1..300.
        classes: detection, instances: labels to keep, one or several.
        mask_format: instances: rle, polygon, png or none; semantic: png, rle or none. How masks are written to JSON,
            for writers of entries; `to_dict` has its own.
        tile: semantic: answer a large image in overlapping windows of so many of its pixels, for detail; 128..8192.

    Raises:
        BadRequest: an unknown option, or a value of the wrong type or out of range; the message lists what there is.

    Example:
        >>> from foveal import Options
        >>> Options(score_threshold=0.6, classes="RBC")
        Options(score_threshold=0.6, classes=('RBC',))
        >>> Options(score_threshold=5)
        Traceback (most recent call last):
        ...
        foveal.errors.BadRequest: parameter 'score_threshold': expected a number 0..1, got 5
        >>> Options(threshold=0.5)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        foveal.errors.BadRequest: parameter 'threshold' is unknown; expected some of: classes, iou_threshold, ...
    """

    top_k: int | None = None
    score_threshold: float | None = None
    iou_threshold: float | None = None
    max_detections: int | None = None
    classes: tuple[str, ...] | None = None
    mask_format: str | None = None
    tile: int | None = None

    def __init__(self, **values: Unpack[OptionValues]) -> None:
        expect_known(values, OPTIONS)
        for name, option in OPTIONS.items():
            value: Any = values.get(name)
            if value is not None:
                try:
                    value = option.check(value)
                except ValueError as error:
                    raise BadRequest(f"parameter {name!r}: {error}, got {value!r:.60}") from None
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Options({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"

    def given(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}

    @classmethod
    def parse(cls, raw: Mapping[str, str], *, applicable: Collection[str], labels: Collection[str]) -> "Options":
        """Build options from text, as `checked` from values.

        Args:
            raw: parameter name -> text, as it came.
            applicable: the option names that the task has.
            labels: the model's labels, against which `classes` is checked.

        Raises:
            BadRequest: unknown or inapplicable name, malformed or out-of-range value.
        """
        expect_known(raw, applicable)
        values: dict[str, Any] = {}
        for name, text in raw.items():
            try:
                values[name] = OPTIONS[name].parse(text)
            except ValueError as error:
                raise BadRequest(f"parameter {name!r}: {error}, got {text[:40]!r}") from None
        return cls(**values).checked(applicable=applicable, labels=labels)

    def checked(self, *, applicable: Collection[str], labels: Collection[str]) -> "Options":
        """The same options, known to suit a model.

        Raises:
            BadRequest: an option that its task does not have, or a class that is none of its labels.
        """
        expect_known(self.given(), applicable)
        for label in self.classes or ():
            if label not in labels:
                raise BadRequest(str(UnknownName.among("class", label[:80], labels)))
        return self

    def resolved(self, defaults: Defaults) -> "Options":
        """The same options with every None replaced by the package's default (where it has one)."""
        resolved = object.__new__(Options)  # both sides were checked where they were made
        for option in fields(self):
            value = getattr(self, option.name)
            value = getattr(defaults, option.name, None) if value is None else value
            object.__setattr__(resolved, option.name, value)
        return resolved


def expect_known(names: Iterable[str], applicable: Collection[str]) -> None:
    """Refuse option names that are unknown, or that the task does not have.

    Raises:
        BadRequest: the message lists the applicable ones.
    """
    for name in names:
        if name not in applicable:
            why = "does not apply to this task" if name in OPTIONS else "is unknown"
            raise BadRequest(f"parameter {name[:80]!r} {why}; expected some of: {', '.join(sorted(applicable))}")
