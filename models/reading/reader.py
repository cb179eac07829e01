"""How a task's data sets are read (`Reader`): layouts are tried, findings gathered, the gate passed, splits made."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from foveal.errors import BadData
from foveal.models.data.dataset import SPLITS, DataSet, Sample, Splits, fingerprint
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.documents import unread
from foveal.models.reading.findings import KINDS, DataCheck, Finding, summary
from foveal.models.reading.own_splits import split_as_stated
from foveal.models.reading.split_names import TRAINVAL
from foveal.models.recipe import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A data set as it is written. Entries that could not be taken over are among `findings`."""

    layout: str  # in words
    labels: tuple[str, ...]
    samples: tuple[Sample[T], ...]  # in the order of names
    split_of: Mapping[str, str] = field(default_factory=dict)  # sample name -> split, where the layout has it
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()  # for the user: what was mapped or chosen while reading


@dataclass(frozen=True)
class Layout(Generic[T]):
    """One way to write a data set. `read` gives None for a folder that is written in another way."""

    name: str  # in words, for the list of what is read
    read: Callable[[DataFolder, Any], Reading[T] | None]  # with the task's recipe
    borrowed: bool = False  # another task's own: `data check` asks that one


@dataclass(frozen=True)
class Reader(Generic[T]):
    """How a task's data sets are read: the one gate between layouts and training, evaluation and export.

    `examine` finds what no layout can see on its own, such as images that do not decode; `counts` says what of each
    label is in a truth (to be spread over splits, and to find labels without samples); `describe` makes a truth one
    line of the fingerprint; `stratify` adds to `counts` where a task can do better.
    """

    layouts: tuple[Layout[T], ...]
    recipe_type: type[Recipe]  # the task's own
    examine: Callable[[Reading[T], Any], Iterable[Finding]]
    counts: Callable[[T, Sequence[str]], Mapping[str, int]]  # label -> objects, or 1 for an image's class
    describe: Callable[[T, Sequence[str]], str]
    noun: str = "objects"  # what `counts` counts
    stratify: Callable[[Sample[T], Any], Mapping[str, int]] | None = None
    untrained: str = "label without samples in train"  # the kind of finding of a label that held-out splits alone have

    def read(self, root: Path, recipe: Any, *, borrowed: bool = True) -> Reading[T] | None:
        """The data set as it is written, in the first layout that fits; None: no layout does.

        Raises:
            BadData: no folder, or a layout that cannot be read at all.
        """
        folder = DataFolder(root)
        readings = (layout.read(folder, recipe) for layout in self.layouts if borrowed or not layout.borrowed)
        found = next((reading for reading in readings if reading is not None), None)
        if found is not None and (note := folder.listing.note(known=ANNOTATION_SUFFIXES)):
            found = replace(found, notes=(*found.notes, note))
        return found

    def findings(self, reading: Reading[T], recipe: Any) -> list[Finding]:
        """Everything that is odd: of the layout, of every task, of this one."""
        found = [*reading.findings, *self.examine(reading, recipe)]
        totals = self._totals(reading.samples, reading.labels)
        if not sum(totals.values()) and not any(KINDS[one.kind].stops for one in found):
            found.append(Finding("nothing to learn", "-", f"{len(reading.samples)} images, 0 {self.noun}"))
        found += [Finding("empty label", "-", label) for label in reading.labels if not totals[label]]
        return found + self._untrained(reading, recipe)

    def load(self, root: Path, recipe: Any) -> DataSet[T]:
        """Read, refuse what makes training meaningless, split.

        Raises:
            BadData: no layout that is read here, or findings that stop training; all of them, and how to see more.
        """
        reading = self.read(root, recipe)
        if reading is None:
            raise no_layout(root, [self])
        findings = self.findings(reading, recipe)
        refuse(root, findings)

        def strata(sample: Sample[T]) -> Mapping[str, int]:
            own = {f"class {label}": n for label, n in self.counts(sample.truth, reading.labels).items()}
            return own | dict(self.stratify(sample, recipe) if self.stratify else {})

        splits, how = split_as_stated(reading.samples, reading.split_of, recipe, strata)
        findings += self._held_out(splits, reading.labels)
        return DataSet(
            name=root.resolve().name,
            layout=reading.layout,
            labels=reading.labels,
            splits=splits,
            fingerprint=fingerprint(reading.samples, lambda truth: self.describe(truth, reading.labels)),
            notes=(*self._notes(reading), how, *reading.notes, *summary(findings)),
        )

    def check(self, root: Path, names: int, *, borrowed: bool = False) -> DataCheck | None:
        """For `foveal data check`: the same findings, `names` listed of each kind; None: no layout of this task."""
        recipe = self.recipe_type()  # type: ignore[call-arg]  # a task's recipe has defaults for all fields
        reading = self.read(root, recipe, borrowed=borrowed)
        if reading is None:
            return None
        described = f"{self._notes(reading)[0]}; labels {', '.join(reading.labels)}; {_stated(reading)}"
        found = tuple(self.findings(reading, recipe))
        lines = (*summary(found, names=names), *reading.notes)
        return DataCheck(described, lines, recipe.task, reading.layout, found, reading.notes)

    def _totals(self, samples: Iterable[Sample[T]], labels: Sequence[str]) -> Counter[str]:
        totals: Counter[str] = Counter()
        for sample in samples:
            totals.update(self.counts(sample.truth, labels))
        return totals

    def _notes(self, reading: Reading[T]) -> list[str]:
        totals = self._totals(reading.samples, reading.labels)
        counted = f", {sum(totals.values())} objects" if self.noun == "objects" else ""
        extent = f"{len(reading.samples)} images{counted}, {len(reading.labels)} labels"
        return [f"{reading.layout}: {extent}", *imbalance(totals, self.noun)]

    def _untrained(self, reading: Reading[T], recipe: Any) -> list[Finding]:
        """Labels that the data set's own held-out splits alone have."""
        if recipe.split_file is not None or not reading.split_of:
            return []
        by_use: dict[bool, list[Sample[T]]] = {True: [], False: []}
        for sample in reading.samples:
            if split := reading.split_of.get(sample.name):
                by_use[split in ("train", TRAINVAL)].append(sample)
        learnt, held_out = (self._totals(by_use[use], reading.labels) for use in (True, False))
        missing = [label for label in reading.labels if held_out[label] and not learnt[label]]
        return [Finding(self.untrained, "-", label) for label in missing] if learnt else []

    def _held_out(self, splits: Splits[T], labels: Sequence[str]) -> list[Finding]:
        """Classes that a held-out split cannot score, or that it alone has."""
        totals = {split: self._totals(splits[split], labels) for split in SPLITS}
        found = []
        for split in ("val", "test"):
            missing = [label for label in labels if totals["train"][label] and not totals[split][label]]
            if splits[split] and missing:
                found.append(Finding("split without a class", split, ", ".join(missing)))
            alone = [label for label in labels if totals[split][label] and not totals["train"][label]]
            found += [Finding("label without samples in train", split, label) for label in alone]
        return found


ANNOTATION_SUFFIXES = (".txt", ".xml", ".json", ".yaml", ".yml", ".csv", ".md", "")  # read, or kept, beside images


def refuse(root: Path, findings: Iterable[Finding]) -> None:
    """Stop where training would be meaningless.

    Raises:
        BadData: the findings that stop it, the first names of each kind.
    """
    if stopping := [finding for finding in findings if KINDS[finding.kind].stops]:
        lines = "\n".join(summary(stopping))
        raise BadData(f"{root}: not a data set to learn from\n{lines}\nsee all of it: foveal data check {root}")


def no_layout(root: Path, readers: Sequence[Reader[Any]]) -> BadData:
    """That none of these readers' layouts fits, and which files look like annotations but cannot be read."""
    layouts = dict.fromkeys(layout.name for reader in readers for layout in reader.layouts)
    broken = list(islice(unread(DataFolder(root)), 3))
    return BadData("\n".join([f"{root}: expected one of {', '.join(layouts)}", *broken]))


def _stated(reading: Reading[Any]) -> str:
    """The splits that the data set states, in words."""
    counts = Counter(reading.split_of.values())
    named = ", ".join(f"{split} {counts[split]}" for split in (*SPLITS, TRAINVAL) if counts[split])
    return f"splits {named}" if named else "no splits stated"


def imbalance(counts: Mapping[str, int], noun: str) -> list[str]:
    """Samples by label in words, as imbalance when the rarest has less than a third of the commonest."""
    if len(counts) < 2:
        return []
    few, many = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    if counts[few] == counts[many]:
        return [f"{counts[few]} {noun} a label"]
    extent = f"{counts[few]} ({few}) to {counts[many]} ({many}) {noun} a label"
    if counts[few] * 3 >= counts[many]:
        return [extent]
    return [f"class imbalance: {extent}, a ratio of {counts[many] / max(1, counts[few]):.1f}"]
