"""Content negotiation (`negotiate`): `Accept` header -> one of the offered media types (RFC 9110, 12.5.1)."""

from collections.abc import Sequence

from foveal.service.errors import NotAcceptable

MAX_RANGES = 100


def negotiate(accept: str | None, offered: Sequence[str]) -> str:
    """The offered type of the highest quality; of equals the first offered.

    Raises:
        NotAcceptable: `Accept` allows none of them, or is too long.
    """
    if not accept:
        return offered[0]
    if accept.count(",") >= MAX_RANGES:
        raise NotAcceptable(f"expected at most {MAX_RANGES} media ranges in Accept, got more")
    ranges = [_parse(part) for part in accept.split(",")]
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptable(f"expected Accept to allow one of {', '.join(offered)}, got {accept[:80]!r}")
    return best


def _parse(part: str) -> tuple[str, float]:
    """`image/*;q=0.5` -> ("image/*", 0.5); an invalid quality counts as 1."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_range, float(quality)
    except ValueError:
        return media_range, 1.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Quality of a type, by the most specific range that covers it."""
    for form in (media_type, media_type.split("/")[0] + "/*", "*/*"):
        found = [quality for media_range, quality in ranges if media_range == form]
        if found:
            return max(found)
    return 0.0
