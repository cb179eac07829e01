"""Matching of rendered detections: golden results against what a pipeline gives, one to one."""

from collections.abc import Sequence

from foveal.packages.manifest import GoldenTolerance
from foveal.results import JsonObject


def match_rendered(
    expected: Sequence[JsonObject], got: Sequence[JsonObject], tolerance: GoldenTolerance
) -> tuple[list[JsonObject], list[JsonObject], list[tuple[JsonObject, JsonObject]]]:
    """One-to-one pairs of equal class, every edge and the score within the tolerance: (missing, extra, pairs)."""
    free = list(got)
    missing, pairs = [], []
    for want in expected:
        fits = [have for have in free if _close(want, have, tolerance)]
        if not fits:
            missing.append(want)
            continue
        best = min(fits, key=lambda have, want=want: _box_distance_px(want, have))  # type: ignore[misc]
        free.remove(best)
        pairs.append((want, best))
    return missing, free, pairs


def in_words(row: JsonObject) -> str:
    """A detection for a message."""
    return f"{row['label']} {row['score']} at {row['box']}"


def _close(want: JsonObject, have: JsonObject, tolerance: GoldenTolerance) -> bool:
    return (
        want["class_id"] == have["class_id"]
        and abs(want["score"] - have["score"]) <= tolerance.score
        and _box_distance_px(want, have) <= tolerance.box_px
    )


def _box_distance_px(want: JsonObject, have: JsonObject) -> float:
    return float(max(abs(a - b) for a, b in zip(want["box"], have["box"], strict=True)))
