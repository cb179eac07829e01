"""Summary of a batch job (`Summary`): how many images, how fast, what failed, what was found, what was passed over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foveal.batch.tally import Tally
from foveal.tasks import task_of


@dataclass(frozen=True)
class Summary:
    """What a job came to; after a resume, the whole of it."""

    task: str
    tally: Tally
    skipped: int  # images that were there before a resume
    seconds: float
    passed_over: Mapping[str, int]  # files of folders and archives that are no images: suffix -> number

    def lines(self) -> Iterator[str]:
        """For people."""
        done = self.tally.images - self.skipped
        words = f"{done} image{'' if done == 1 else 's'} in {self.seconds:.1f} s, {done / self.seconds:.1f} images/s"
        yield words + (f"; {self.skipped} were there already" if self.skipped else "")
        if found := self.tally.found:
            total = sum(found.values())
            ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
            shares = (f"{label} {f'{n:,}' if isinstance(n, int) else f'{n / total:.1%}'}" for label, n in ranked)
            yield f"{task_of(self.task).summary_title}: {', '.join(shares)}"
        if self.tally.failed:
            yield f"{self.tally.failed} of {self.tally.images} images failed; the first: {self.tally.first_failure}"

    def to_json(self) -> dict[str, Any]:
        """For programs; `passed_over` is what stderr said before the work began."""
        return {
            **self.tally.to_json(),
            "resumed_from": self.skipped,
            "seconds": round(self.seconds, 3),
            "passed_over": {suffix or "no suffix": n for suffix, n in sorted(self.passed_over.items())},
        }
