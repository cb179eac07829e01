"""Checks of detection data sets that no layout can make: images that do not decode, near-duplicates across splits."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from foveal.errors import BadImage
from foveal.imaging.decode import decode
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.data.near_duplicates import NEAR_BITS, difference_hash
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading

HASHED_HW = (64, 64)  # four times a hash's side: no more of an image is decoded than that needs
PAIRS_AT_ONCE = 2**24


def examine(reading: Reading[ObjectTruth], recipe: DetectionRecipe) -> list[Finding]:
    """Findings of every sample. Order: labels, images, pairs of splits."""
    named = [label for label in reading.labels if label.strip("_ ").lower() in ("background", "bg")]
    findings = [Finding("label 0", "-", label) for label in named]
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(_decode, reading.samples))
    hashes = {}
    for sample, found in zip(reading.samples, decoded, strict=True):
        if isinstance(found, str):
            findings.append(Finding("unreadable image", sample.name, found))
        else:
            hashes[sample.name] = found
        findings += _to_learn(sample, masks=isinstance(recipe, InstanceRecipe))
    return [*findings, *_nothing(reading), *_near_duplicates(hashes, reading.split_of)]


def _decode(sample: Sample[ObjectTruth]) -> npt.NDArray[np.bool_] | str:
    """The image's hash, or what is wrong with it."""
    try:
        return difference_hash(decode(sample.path.read_bytes(), target_hw=HASHED_HW).rgb)
    except (BadImage, OSError) as error:
        return str(error)


def _to_learn(sample: Sample[ObjectTruth], *, masks: bool) -> Iterator[Finding]:
    """What keeps an image's objects from being learnt."""
    truth = sample.truth
    if len(truth) and truth.crowd.all():
        yield Finding("only crowds", sample.name, f"{len(truth)} objects")
    if masks and len(truth) and truth.masks is None:
        yield Finding("missing mask", sample.name, "an object has a box only")


def _nothing(reading: Reading[ObjectTruth]) -> Iterator[Finding]:
    crowds = sum(len(sample.truth) for sample in reading.samples)
    if crowds and all(sample.truth.crowd.all() for sample in reading.samples):
        mend = "CVAT exports masks so; set iscrowd to 0 in the file, or export polygons"
        yield Finding("nothing to learn", "-", f"all {crowds} objects are iscrowd or difficult ({mend})")


def _near_duplicates(hashes: Mapping[str, npt.NDArray[np.bool_]], split_of: Mapping[str, str]) -> Iterator[Finding]:
    """Each held-out image that is almost the same as an earlier split's: the nearest of them."""
    names = [name for name in hashes if name in split_of]
    if not names:
        return
    bits = np.stack([hashes[name] for name in names]).astype(np.float32)
    ones = bits.sum(1)
    splits = np.array([split_of[name] for name in names])
    for earlier, later in (
        ("train", "val"),
        ("trainval", "val"),
        ("train", "test"),
        ("trainval", "test"),
        ("val", "test"),
    ):
        rows, others = np.flatnonzero(splits == later), np.flatnonzero(splits == earlier)
        step = max(1, PAIRS_AT_ONCE // max(1, len(others)))
        for block in (rows[start : start + step] for start in range(0, len(rows), step) if len(others)):
            distances = ones[block][:, None] + ones[others][None] - 2 * bits[block] @ bits[others].T
            nearest = distances.argmin(1)
            for row, place, bits_off in zip(block, nearest, distances.min(1), strict=True):
                if bits_off <= NEAR_BITS:
                    other = names[others[place]]
                    yield Finding("near-duplicate", other, f"{earlier}; {names[row]} in {later}")
