"""What writers of layouts are given (`Item`), and what they say of it (`Loss`)."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Item:
    """One image of the data set to write."""

    source: Path
    stem: str  # unique, safe
    split: str | None  # of SPLITS; None: the data set states no splits
    truth: Any  # the task's own

    @property
    def file_name(self) -> str:
        """Stem and suffix."""
        return self.stem + self.source.suffix.lower()


@dataclass
class Loss:
    """What the target cannot hold: counted, one line a kind."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, count: int = 1) -> None:
        """Count something of a kind."""
        if count:
            self.counts[what] += count

    def lines(self) -> tuple[str, ...]:
        """`3 crowds are left out: …`, in the order in which they were met."""
        return tuple(f"{count} {what}" if count > 0 else what for what, count in self.counts.items())


@dataclass
class Job:
    """The folder to write into and how images get there."""

    root: Path
    labels: Sequence[str]
    link: bool
    loss: Loss
    splits: bool  # whether the data set states splits

    def place(self, item: Item, folder: str) -> Path:
        """Copy, or link, the image into a folder below the root."""
        path = self.root / folder / item.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.link:
            try:
                os.link(item.source, path)
                return path
            except OSError:  # another file system
                pass
        shutil.copyfile(item.source, path)
        return path


Write = Callable[[Job, Iterable[Item]], None]


def by_split(items: Sequence[Item]) -> dict[str | None, list[Item]]:
    """Items in the order of SPLITS; None where there are none."""
    found: dict[str | None, list[Item]] = {split: [] for split in SPLITS}
    for item in items:
        found.setdefault(item.split, []).append(item)
    return {split: mine for split, mine in found.items() if mine}
