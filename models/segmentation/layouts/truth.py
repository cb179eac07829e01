"""The truth of an image in semantic segmentation (`LabelMap`), wherever its class ids come from (`Ids`)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.models.data.dataset import Sample
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading
from foveal.models.segmentation.recipe import SegmentationRecipe

UInt8Array = npt.NDArray[np.uint8]
MAX_CLASSES = 255  # ids are bytes, and 255 is IGNORE
BACKGROUND, OBJECT = "background", "object"


class Ids(ABC):
    """The class ids of one image: places in the data set's list of classes, or IGNORE."""

    @abstractmethod
    def read(self) -> UInt8Array:
        """(H, W) ids.

        Raises:
            BadData: there is none, or one of `faults`.
        """

    @abstractmethod
    def describe(self) -> str:
        """What the fingerprint is made of."""

    @abstractmethod
    def size(self) -> tuple[int, int] | None:
        """Height and width, without reading all of it where that is possible; None: one of `faults`."""

    def faults(self) -> Iterable[tuple[str, str]]:
        """Kind and detail of what is wrong."""
        return ()

    def present(self) -> frozenset[int]:
        """The ids that occur, IGNORE aside."""
        return frozenset(int(i) for i in np.unique(self.read()) if i != IGNORE)


@dataclass(frozen=True)
class LabelMap:
    """The truth of an image: its ids, and which of them is which label (IGNORE: none)."""

    ids: Ids
    label_of: tuple[int, ...]  # 256 entries: id -> index into the labels, or IGNORE

    def read(self) -> UInt8Array:
        """(H, W) label indices, IGNORE where nothing counts."""
        return np.asarray(self.label_of, np.uint8)[self.ids.read()]

    def present(self) -> frozenset[int]:
        """Indices of the labels that occur."""
        return frozenset(self.label_of[i] for i in self.ids.present()) - {IGNORE}


def labelled(
    layout: str,
    classes: Sequence[str],
    samples: Sequence[Sample[Any]],
    split_of: Mapping[str, str],
    findings: Iterable[Finding],
    recipe: SegmentationRecipe,
) -> Reading[LabelMap]:
    """A reading whose labels are the classes that count: `recipe.ignore` (a name or an id) does not.

    Args:
        layout: in words.
        classes: names, in the order of ids.
        samples: their truths are `Ids`.
        split_of: as the reading's.
        findings: as the reading's.
        recipe: its field `ignore`.
    """
    ignored = _ignored(recipe.ignore, classes)
    kept = [i for i in range(len(classes)) if i not in ignored]
    labels = tuple(classes[i] for i in kept)
    label_of = tuple(kept.index(i) if i in kept else IGNORE for i in range(256))
    mapped = sorted((Sample(s.name, s.path, LabelMap(s.truth, label_of)) for s in samples), key=lambda s: s.name)
    return Reading(layout, labels, tuple(mapped), split_of, tuple(findings))


def named_twice(classes: Sequence[str], where: str) -> Iterator[Finding]:
    """Findings of a list of classes."""
    twice = sorted({name for name in classes if classes.count(name) > 1})
    yield from (Finding("label twice", where, name) for name in twice)
    yield from (Finding("no class name", where, f"class {i}") for i, name in enumerate(classes) if not name)


def _ignored(ignore: str | int | None, classes: Sequence[str]) -> set[int]:
    if ignore is None:
        return set()
    if str(ignore) in classes:
        return {classes.index(str(ignore))}
    if str(ignore).isdecimal() and int(ignore) < 256:
        return {int(ignore)}
    raise BadData(f"ignore: expected a class of {', '.join(classes)}, or an id, got {ignore!r}")
