"""The reader of classification: folders of classes, with or without splits, and tables of labels."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from foveal.errors import BadImage
from foveal.imaging.decode import decode
from foveal.models.classification.class_folders import PLAIN, SPLIT, read_folders
from foveal.models.classification.label_tables import NAME, read_table
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import Sample
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Layout, Reader, Reading


def _examine(reading: Reading[int], _: ClassificationRecipe) -> Iterator[Finding]:
    """Images that do not decode, the same file in two classes or splits, labels that are almost the same."""
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(_read, reading.samples))
    copies: dict[str, list[Sample[int]]] = defaultdict(list)
    for sample, (digest, fault) in zip(reading.samples, read, strict=True):
        if fault is not None:
            yield Finding("unreadable image", sample.name, fault)
        elif digest:
            copies[digest].append(sample)
    for first, *others in copies.values():
        for other in others:
            yield from _copy(first, other, reading)
    plain: dict[str, list[str]] = defaultdict(list)
    for label in reading.labels:
        plain[" ".join(label.casefold().split())].append(label)
    yield from (Finding("labels alike", "-", ", ".join(map(repr, same))) for same in plain.values() if len(same) > 1)


def _read(sample: Sample[int]) -> tuple[str, str | None]:
    """sha256 of the file, and what is wrong with it."""
    try:
        data = sample.path.read_bytes()
        decode(data, target_hw=(64, 64))  # reduced where the format can: whether it decodes is the question
    except (BadImage, OSError) as error:
        return "", str(error)
    return hashlib.sha256(data).hexdigest(), None


def _copy(first: Sample[int], other: Sample[int], reading: Reading[int]) -> Iterator[Finding]:
    splits = [reading.split_of.get(sample.name) for sample in (first, other)]
    if first.truth != other.truth:
        labels = [reading.labels[sample.truth] for sample in (first, other)]
        yield Finding("same image", first.name, f"{labels[0]}; as {other.name} it is {labels[1]}")
    elif splits[0] != splits[1]:
        yield Finding("same image", first.name, f"{splits[0]}; as {other.name} it is in {splits[1]}")


def _counts(truth: int, labels: Sequence[str]) -> Mapping[str, int]:
    return {labels[truth]: 1}


def _describe(truth: int, labels: Sequence[str]) -> str:
    return labels[truth]


READER = Reader(
    (Layout(NAME, read_table), Layout(f"{PLAIN}, or {SPLIT}", read_folders)),
    ClassificationRecipe,
    _examine,
    _counts,
    _describe,
    "images",
    untrained="class not in train",
)
