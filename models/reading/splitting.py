"""Seeded splits without leakage (`make_splits`): stratified, groups kept together, or as a split file says."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from foveal.errors import BadData
from foveal.models.data.dataset import SPLITS, Sample, Splits, listed
from foveal.models.recipe import Recipe

T = TypeVar("T")


def make_splits(
    samples: Sequence[Sample[T]], recipe: Recipe, strata: Callable[[Sample[T]], Mapping[str, int]]
) -> Splits[T]:
    """Split as the recipe says: by file, or seeded and stratified with groups kept together.

    Args:
        samples: all samples.
        recipe: its fields split_file, group_by, group_block, group_guard, val_fraction, test_fraction and seed.
        strata: sample -> what every split should have its share of, e.g. {"cat": 1}, or boxes by class.

    Raises:
        BadData: a pattern or a CSV that does not fit the names, or a split that stays empty.
    """
    if recipe.split_file is not None:
        assigned = _read_split_file(Path(recipe.split_file), samples)
    else:
        groups = group_names(samples, recipe)
        fractions = (1 - recipe.val_fraction - recipe.test_fraction, recipe.val_fraction, recipe.test_fraction)
        if fractions[0] <= 0:
            raise BadData(f"val_fraction + test_fraction: expected less than 1, got {1 - fractions[0]}")
        assigned = assign_stratified([strata(s) for s in samples], groups, fractions, recipe.seed)
    if recipe.group_guard:
        assigned = _guard(samples, assigned, recipe)
    splits = Splits(*(tuple(s for s, split in zip(samples, assigned, strict=True) if split == n) for n in SPLITS))
    for name in ("train", "val"):
        if not splits[name]:
            raise BadData(f"expected samples in split {name!r}, got none of {len(samples)} (too few samples or groups)")
    return splits


def assign_stratified(
    strata: Sequence[Mapping[str, int]], groups: Sequence[str], fractions: tuple[float, float, float], seed: int
) -> list[str]:
    """One split name a sample: whole groups, classes spread in proportion, the same for the same seed.

    Greedy iterative stratification (after Sechidis, Tsoumakas, Vlahavas, ECML PKDD 2011): groups come in a seeded
    order, larger ones first, and each goes where its classes are furthest below their share.
    """
    classes = {name: i for i, name in enumerate(sorted({c for s in strata for c in s}))}
    per_group: dict[str, np.ndarray] = {}
    for counts, group in zip(strata, groups, strict=True):
        histogram = per_group.setdefault(group, np.zeros(len(classes) + 1))
        histogram[-1] += 1  # the samples themselves count too: some have no class at all
        for name, count in counts.items():
            histogram[classes[name]] += count
    total = np.sum(list(per_group.values()), axis=0)
    wanted = np.maximum(np.outer(fractions, total), 1e-9)  # (splits, classes)
    filled = np.zeros_like(wanted)
    order = np.random.default_rng(seed).permutation(sorted(per_group))
    split_of = {}
    for group in sorted(order.tolist(), key=lambda g: -per_group[g][-1]):
        missing = (1 - filled / wanted) @ (per_group[group] / np.maximum(total, 1))
        chosen = int(np.argmax(np.where(np.array(fractions) > 0, missing, -np.inf)))
        filled[chosen] += per_group[group]
        split_of[group] = SPLITS[chosen]
    return [split_of[group] for group in groups]


def group_names(samples: Sequence[Sample[T]], recipe: Recipe) -> list[str]:
    """The group of each sample: itself, what `group_by` captures, or the block of numbers that it captures."""
    if recipe.group_by is None:
        return [sample.name for sample in samples]
    captures = _captures(samples, recipe.group_by)
    if recipe.group_block is None:
        return captures
    return [str(number // recipe.group_block) for number in _numbers(captures, recipe.group_by)]


def _captures(samples: Sequence[Sample[T]], pattern: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadData(f"group_by {pattern!r}: expected a regular expression: {error}") from None
    found = [compiled.search(sample.name) for sample in samples]
    unmatched = [sample.name for sample, match in zip(samples, found, strict=True) if match is None]
    if unmatched:
        raise BadData(f"group_by {pattern!r}: expected a match in every name, got none in {listed(unmatched)}")
    # all capturing groups together, or the whole match when there is none
    return ["\0".join(g or "" for g in m.groups()) or m.group() for m in found if m is not None]


def _numbers(captures: Sequence[str], pattern: str) -> list[int]:
    if words := [c for c in captures if not (c.isascii() and c.isdigit())]:
        raise BadData(f"group_by {pattern!r} with group_block: expected to capture numbers, got {listed(words)}")
    return [int(c) for c in captures]


def _guard(samples: Sequence[Sample[T]], assigned: Sequence[str], recipe: Recipe) -> list[str]:
    """Leave out samples whose number is near one of a stricter split: train near val or test, val near test.

    For series (video frames, one person after the other) a block's border may cut through related photos; a gap as wide
    as the relation reaches makes the splits independent.
    """
    if recipe.group_by is None:
        raise BadData("group_guard: expected group_by with it, got none")
    numbers = np.array(_numbers(_captures(samples, recipe.group_by), recipe.group_by))
    split = np.array(assigned, dtype=object)
    result = split.copy()
    for i, name in enumerate(split):
        stricter = np.isin(split, SPLITS[SPLITS.index(name) + 1 :]) if name in SPLITS else np.zeros(len(split), bool)
        if (np.abs(numbers[stricter] - numbers[i]) <= recipe.group_guard).any():
            result[i] = ""
    return list(result)


def _read_split_file(path: Path, samples: Sequence[Sample[T]]) -> list[str]:
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not {"name", "split"} <= set(reader.fieldnames):
                raise BadData(f"{path}: expected the columns name,split, got {reader.fieldnames}")
            rows = {row["name"]: row["split"] for row in reader}
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path}: expected a CSV file: {error}") from None
    names = {sample.name for sample in samples}
    if unknown := sorted(rows.keys() - names):
        raise BadData(f"{path}: names that are not in the data set: {listed(unknown)}")
    if unlisted := sorted(names - rows.keys()):
        raise BadData(f"{path}: samples without a line (an empty split leaves one out): {listed(unlisted)}")
    if wrong := sorted(set(rows.values()) - {*SPLITS, ""}):
        raise BadData(f"{path}: expected train, val, test or nothing as split, got {listed(wrong)}")
    return [rows[sample.name] for sample in samples]
