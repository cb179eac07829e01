"""Tally of a batch job (`Tally`): how many images, how many failed, what was found."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tally:
    """Counts that add up; JSON on the way, so that a resumed job still knows what came before the kill."""

    images: int = 0
    failed: int = 0
    first_failure: str | None = None  # name and reason
    found: dict[str, float] = field(default_factory=dict)  # label -> images, objects, or images' worth of area

    def __add__(self, other: "Tally") -> "Tally":
        found = self.found | {label: self.found.get(label, 0) + count for label, count in other.found.items()}
        first = self.first_failure if self.first_failure is not None else other.first_failure
        return Tally(self.images + other.images, self.failed + other.failed, first, found)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `Tally(**…)` takes."""
        return asdict(self)
