"""Per-request options: an argument of a prediction, never state of a Predictor.

One parser for HTTP query parameters and CLI flags, so that both accept and refuse the same things in the same words.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from foveal.errors import BadRequest, UnknownName

if TYPE_CHECKING:
    from foveal.packages.manifest import Manifest

MASK_FORMATS = ("rle", "polygon", "png", "none")
MAX_DETECTIONS = 300
TILE_PX = (128, 8192)  # smallest and largest window of `tile`


@dataclass(frozen=True)
class Options:
    """What a caller may choose for one prediction. None means: as the package's manifest says."""

    top_k: int | None = None  # classification: how many classes to return, best first
    score_threshold: float | None = None  # only detections with a HIGHER score are kept, in [0, 1]
    iou_threshold: float | None = None  # NMS: of two boxes overlapping more than this the weaker goes, in [0, 1]
    max_detections: int | None = None  # 1..300, cut after NMS
    classes: tuple[str, ...] | None = None  # only detections of these labels
    mask_format: str | None = None  # rle | polygon | png | none
    tile: int | None = None  # class maps: answer an image in windows of so many of its pixels; None: all at once

    @classmethod
    def parse(cls, raw: Mapping[str, str], *, applicable: Collection[str], labels: Collection[str]) -> "Options":
        """Build options from text.

        Args:
            raw: parameter name -> text, as it came.
            applicable: the option names that the task has.
            labels: the model's labels, against which `classes` is checked.

        Raises:
            BadRequest: unknown or inapplicable name, malformed or out-of-range value.
        """
        for name in raw:
            if name not in applicable:
                known = name in {f.name for f in fields(cls)}
                why = "does not apply to this task" if known else "is unknown"
                raise BadRequest(f"parameter {name!r} {why}; expected some of: {', '.join(sorted(applicable))}")
        return cls(
            top_k=_integer(raw, "top_k", 1, 100_000),
            score_threshold=_fraction(raw, "score_threshold"),
            iou_threshold=_fraction(raw, "iou_threshold"),
            max_detections=_integer(raw, "max_detections", 1, MAX_DETECTIONS),
            classes=_classes(raw, labels),
            mask_format=_choice(raw, "mask_format", MASK_FORMATS),
            tile=_integer(raw, "tile", *TILE_PX),
        )

    def resolved(self, manifest: "Manifest") -> "Options":
        """The same options with every None replaced by the manifest's default (where it has one)."""
        defaults = manifest.postprocess
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return Options(**{k: getattr(defaults, k, None) if v is None else v for k, v in mine.items()})


def _integer(raw: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    if name not in raw:
        return None
    text = raw[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
        raise BadRequest(f"parameter {name!r}: expected a whole number {low}..{high}, got {text[:40]!r}")
    return int(text)


def _fraction(raw: Mapping[str, str], name: str) -> float | None:
    if name not in raw:
        return None
    try:
        value = float(raw[name])
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:  # NaN fails this too
        raise BadRequest(f"parameter {name!r}: expected a number 0..1, got {raw[name][:40]!r}")
    return value


def _choice(raw: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    if name in raw and raw[name] not in choices:
        raise BadRequest(f"parameter {name!r}: expected one of {', '.join(choices)}, got {raw[name][:40]!r}")
    return raw.get(name)


def _classes(raw: Mapping[str, str], labels: Collection[str]) -> tuple[str, ...] | None:
    if "classes" not in raw:
        return None
    wanted = tuple(part.strip() for part in raw["classes"].split(","))
    for label in wanted:
        if label not in labels:
            raise BadRequest(str(UnknownName.among("class", label[:80], labels)))
    return wanted
