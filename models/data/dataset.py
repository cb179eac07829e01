"""Data sets of any task (`DataSet`): samples, splits without leakage, fingerprint; truths are of the task's type."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from foveal.errors import BadData

T = TypeVar("T")
SPLITS = ("train", "val", "test")
MAX_LISTED = 20  # names in one error


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One image. `name` is its path below the data set's folder, with forward slashes, and identifies it."""

    name: str
    path: Path
    truth: T


@dataclass(frozen=True)
class Splits(Generic[T]):
    """Samples by use: train learns, val picks checkpoint and thresholds, test is scored once."""

    train: tuple[Sample[T], ...]
    val: tuple[Sample[T], ...]
    test: tuple[Sample[T], ...]

    def __getitem__(self, split: str) -> tuple[Sample[T], ...]:
        if split not in SPLITS:
            raise BadData(f"expected a split of {', '.join(SPLITS)}, got {split!r}")
        samples: tuple[Sample[T], ...] = getattr(self, split)
        return samples

    def counts(self) -> dict[str, int]:
        """Split -> number of samples."""
        return {split: len(self[split]) for split in SPLITS}

    def with_val_in_train(self) -> "Splits[T]":
        """val's samples in train, none in val."""
        return Splits((*self.train, *self.val), (), self.test)


@dataclass(frozen=True)
class DataSet(Generic[T]):
    """A data set as it was read. `notes` are for the user: layout, imbalance, left-out files."""

    name: str
    layout: str
    labels: tuple[str, ...]
    splits: Splits[T]
    fingerprint: str
    notes: tuple[str, ...] = ()


def fingerprint(samples: Sequence[Sample[T]], describe: Callable[[T], str]) -> str:
    """sha256 over names, bytes and labels of every sample, in the order of names."""
    total = hashlib.sha256()
    for sample in sorted(samples, key=lambda s: s.name):
        content = hashlib.sha256(sample.path.read_bytes()).hexdigest()
        total.update(f"{sample.name}\0{content}\0{describe(sample.truth)}\n".encode(errors="surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def listed(names: Sequence[str]) -> str:
    """Names for an error message, shortened."""
    unique = list(Counter(names))
    more = f", … {len(unique) - MAX_LISTED} more" if len(unique) > MAX_LISTED else ""
    return ", ".join(map(repr, unique[:MAX_LISTED])) + more
