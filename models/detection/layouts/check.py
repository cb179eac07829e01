"""Checks of detection data sets (`foveal data check`): what a person should know before training."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from foveal.errors import BadImage
from foveal.imaging.boxes import box_iou
from foveal.imaging.decode import decode, read_header
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.checks import DataCheck
from foveal.models.data.dataset import Sample
from foveal.models.data.near_duplicates import NEAR_BITS, difference_hash
from foveal.models.detection.layouts.base import Finding, Reading
from foveal.models.detection.layouts.read import recognised

DUPLICATE_IOU = 0.95
OUTSIDE_PX = 1.0  # annotators' rounding stays silent

KINDS: dict[str, str] = {
    "unreadable image": "the image cannot be decoded",
    "wrong size": "the annotation's width and height are not the image's (after EXIF rotation)",
    "EXIF rotation": "width and height fit the image before its EXIF rotation: boxes lie on the unrotated pixels",
    "degenerate box": "a side is zero or negative",
    "tiny box": "a side is under a pixel",
    "outside box": "reaches out of the image by more than a pixel",
    "duplicate box": f"two boxes of one label overlap by IoU {DUPLICATE_IOU} or more",
    "label 0": "a label called background: detectors have none, class 0 is an object",
    "unknown label": "an object of a class that is not in the list",
    "unknown image": "objects of an image that is not in the list",
    "near-duplicate": "almost the same image in two splits",
    "empty label": "a label without objects",
}


def data_check(root: Path, names: int) -> DataCheck | None:
    """The findings of `check` in words, or None when the folder has no layout of objects."""
    reading = recognised(root)
    if reading is None:
        return None
    counts = f"{len(reading.samples)} images, {sum(len(sample.truth) for sample in reading.samples)} objects"
    findings = check(reading)
    lines = summary(findings, names=names).splitlines() if findings else []
    return DataCheck(f"{reading.layout}, {counts}, labels {', '.join(reading.labels)}", tuple(lines))


def check(reading: Reading) -> list[Finding]:
    """Findings of every sample. Order: the reader's own findings, labels, images, boxes, pairs of splits."""
    findings = list(reading.findings)
    counts = Counter(int(i) for sample in reading.samples for i in sample.truth.class_ids)
    findings += [Finding("empty label", "-", label) for i, label in enumerate(reading.labels) if not counts[i]]
    named = [label for label in reading.labels if label.strip("_ ").lower() in ("background", "bg")]
    findings += [Finding("label 0", "-", label) for label in named]
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(_decode, reading.samples))
    for sample, (found, _) in zip(reading.samples, decoded, strict=True):
        findings += found
        findings += _boxes(sample, reading.labels)
    hashes = {s.name: h for s, (_, h) in zip(reading.samples, decoded, strict=True) if h is not None}
    return findings + list(_near_duplicates(hashes, reading.split_of))


def summary(findings: Iterable[Finding], *, names: int = 5) -> str:
    """One block a kind: count, meaning and the first names."""
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    lines = []
    for kind, found in by_kind.items():
        lines.append(f"{kind}: {len(found)} ({KINDS[kind]})")
        lines += [f"  {one.name}: {one.detail}" for one in found[:names]]
        if len(found) > names:
            lines.append(f"  … {len(found) - names} more")
    return "\n".join(lines)


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
