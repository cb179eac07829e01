"""Checks of detection data sets (`foveal data check`): what a person should know before training."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from foveal.errors import BadImage
from foveal.imaging.boxes import box_iou
from foveal.imaging.decode import decode, read_header
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.data.near_duplicates import NEAR_BITS, difference_hash
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.reading.findings import DUPLICATE_IOU, Finding
from foveal.models.reading.reader import Reading

OUTSIDE_PX = 1.0  # annotators' rounding stays silent


def examine(reading: Reading[ObjectTruth], recipe: DetectionRecipe) -> list[Finding]:
    """Findings of every sample. Order: labels, images, boxes, pairs of splits."""
    named = [label for label in reading.labels if label.strip("_ ").lower() in ("background", "bg")]
    findings = [Finding("label 0", "-", label) for label in named]
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(_decode, reading.samples))
    for sample, (found, _) in zip(reading.samples, decoded, strict=True):
        findings += found
        findings += _boxes(sample, reading.labels)
        if isinstance(recipe, InstanceRecipe) and len(sample.truth) and sample.truth.masks is None:
            findings.append(Finding("missing mask", sample.name, "boxes only"))
    hashes = {s.name: h for s, (_, h) in zip(reading.samples, decoded, strict=True) if h is not None}
    return findings + list(_near_duplicates(hashes, reading.split_of))


def _decode(sample: Sample[ObjectTruth]) -> tuple[list[Finding], npt.NDArray[np.bool_] | None]:
    """What is wrong with the image, and its hash."""
    try:
        data = sample.path.read_bytes()
        header = read_header(data)
        rgb = decode(data).rgb
    except (BadImage, OSError) as error:
        return [Finding("unreadable image", sample.name, str(error))], None
    stated = sample.truth.image_hw
    findings = []
    if stated != header.image_hw:
        swapped = stated == header.image_hw[::-1] and header.exif_orientation >= 5
        detail = f"stated {stated[1]} x {stated[0]}, is {header.image_hw[1]} x {header.image_hw[0]}"
        findings.append(Finding("EXIF rotation" if swapped else "wrong size", sample.name, detail))
    return findings, difference_hash(rgb)


def _boxes(sample: Sample[ObjectTruth], labels: Sequence[str]) -> Iterator[Finding]:
    truth = sample.truth
    height, width = truth.image_hw
    low, high = -OUTSIDE_PX, np.array([width, height]) + OUTSIDE_PX
    for box, class_id in zip(truth.boxes_xyxy, truth.class_ids, strict=True):
        sides = box[2:] - box[:2]
        what = f"{labels[int(class_id)]} {[round(float(v), 2) for v in box]}"
        if (sides <= 0).any():
            yield Finding("degenerate box", sample.name, what)
        elif (sides < 1).any():
            yield Finding("tiny box", sample.name, what)
        if (box[:2] < low).any() or (box[2:] > high).any():
            yield Finding("outside box", sample.name, f"{what} in {width} x {height}")
    same = truth.class_ids[:, None] == truth.class_ids[None]
    for i, j in np.argwhere(np.triu(same & (box_iou(truth.boxes_xyxy, truth.boxes_xyxy) >= DUPLICATE_IOU), k=1)):
        box = [round(float(v), 2) for v in truth.boxes_xyxy[j]]
        yield Finding(
            "duplicate box", sample.name, f"objects {i + 1} and {j + 1}: {labels[int(truth.class_ids[i])]} {box}"
        )


def _near_duplicates(hashes: Mapping[str, npt.NDArray[np.bool_]], split_of: Mapping[str, str]) -> Iterator[Finding]:
    names = [name for name in hashes if name in split_of]
    if not names:
        return
    bits = np.stack([hashes[name] for name in names]).astype(np.float32)
    distances = bits @ (1 - bits).T
    distances += distances.T
    splits = np.array([split_of[name] for name in names])
    for i, j in np.argwhere(np.triu((distances <= NEAR_BITS) & (splits[:, None] != splits[None]), k=1)):
        yield Finding("near-duplicate", names[i], f"{splits[i]}; {names[j]} in {splits[j]}")
