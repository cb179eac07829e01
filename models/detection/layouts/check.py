"""Everything about a detection data set that a person should look at before training: `foveal data check`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from foveal.errors import BadImage
from foveal.imaging.decode import decode, read_header
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.detection.anchors import iou
from foveal.models.detection.layouts.base import Finding, Reading

DUPLICATE_IOU = 0.95
OUTSIDE_PX = 1.0  # annotators' rounding stays silent
HASH_SIDE = 16
NEAR_BITS = 6  # of 256: re-encoded or slightly resized copies; other images differ in about 128

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


def check(reading: Reading) -> list[Finding]:
    """Look at every sample. Order: the reader's own findings, labels, images, boxes, pairs of splits."""
    findings = list(reading.findings)
    counts = Counter(int(i) for sample in reading.samples for i in sample.truth.class_ids)
    findings += [Finding("empty label", "-", label) for i, label in enumerate(reading.labels) if not counts[i]]
    named = [label for label in reading.labels if label.strip("_ ").lower() in ("background", "bg")]
    findings += [Finding("label 0", "-", label) for label in named]
    with ThreadPoolExecutor() as pool:
        looked = list(pool.map(_look, reading.samples))
    for sample, (found, _) in zip(reading.samples, looked, strict=True):
        findings += found
        findings += _boxes(sample, reading.labels)
    hashes = {s.name: h for s, (_, h) in zip(reading.samples, looked, strict=True) if h is not None}
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


def _look(sample: Sample[ObjectTruth]) -> tuple[list[Finding], npt.NDArray[np.bool_] | None]:
    """Decode: what is wrong with the image, and its hash."""
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


def difference_hash(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """256 bits: is a pixel of the shrunken grey image brighter than its left neighbour?"""
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    return (small[:, 1:] > small[:, :-1]).ravel()


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
    for i, j in np.argwhere(np.triu(same & (iou(truth.boxes_xyxy, truth.boxes_xyxy) >= DUPLICATE_IOU), k=1)):
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
