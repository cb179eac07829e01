"""Our scores on published detections, against the published figures; exit code 1 where a printed line differs.

    make check-reference        (reads ../shared/reference, which is not part of the repository, and fails without it)

coco-ap: results and ground truth of 100 COCO images, whose lines the COCO API publishes. They are scored as they are,
and the boxes a second time as Foveal's own Detections and ObjectTruth. voc-ap: the worked example of
Object-Detection-Metrics (Padilla et al. 2020), which publishes 24.56 % (every point) and 26.84 % (11 points); it tests
our reading of the curve, with VOC's own matching.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from foveal.metrics import coco
from foveal.metrics.truth import ObjectTruth
from foveal.tasks.detections import Detections

LINE = re.compile(r"\((A[PR])\) @\[ IoU=(\S+)\s*\| area=\s*(\w+) \| maxDets=\s*(\d+) \] = (\S+)")
VOC_PUBLISHED = {"every point": 24.56, "11 points": 26.84}  # percent


def published(text: str, kind: coco.Kind) -> dict[str, str]:
    """Name of a figure -> the three decimals that are printed for it."""
    section = text.split(f"type={kind}")[1].split("type=")[0]
    found = {}
    for metric, iou, area, most, value in LINE.findall(section):
        if area != "all":
            name = f"{metric}_{area}"
        elif metric == "AR":
            name = f"AR_{most}"
        else:
            name = {"0.50:0.95": "AP", "0.50": "AP50", "0.75": "AP75"}[iou]
        found[name] = value
    return found


def as_foveal(truth: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, float]:
    """The same boxes through the types that checkpoints and packages are scored with."""
    class_of = {category["id"]: i for i, category in enumerate(truth["categories"])}
    labels = tuple(category["name"] for category in truth["categories"])
    objects, found = defaultdict(list), defaultdict(list)
    for annotation in truth["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    for row in rows:
        found[row["image_id"]].append(row)
    results, truths = [], []
    for image in sorted(truth["images"], key=lambda image: image["id"]):
        image_hw = (image["height"], image["width"])
        mine = sorted(found[image["id"]], key=lambda row: -row["score"])
        theirs = objects[image["id"]]
        results.append(Detections(*boxes(mine, class_of, scored=True), labels, image_hw))
        crowd = np.array([bool(a["iscrowd"]) for a in theirs], bool)
        areas = np.array([a["area"] for a in theirs], np.float64)
        truths.append(ObjectTruth(*boxes(theirs, class_of, scored=False), image_hw, crowd, areas_px=areas))
    return coco.figures(
        coco.evaluate(coco.truth_dataset(truths, labels, "bbox"), coco.result_rows(results, "bbox"), "bbox")
    )


def boxes(rows: list[dict[str, Any]], class_of: dict[int, int], *, scored: bool) -> tuple[Any, ...]:
    xywh = np.array([row["bbox"] for row in rows], np.float32).reshape(-1, 4)
    xyxy = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
    class_ids = np.array([class_of[row["category_id"]] for row in rows], np.int64)
    if not scored:
        return xyxy, class_ids
    return xyxy, np.array([row["score"] for row in rows], np.float32), class_ids


def compare(title: str, expected: dict[str, str], got: dict[str, str]) -> bool:
    for name, value in expected.items():
        print(f"{title:28} {name:12} published {value:>6} got {got.get(name, '-'):>6}")
    return expected == got


def check_coco(folder: Path) -> bool:
    truth = json.loads((folder / "ground_truth.json").read_bytes())
    text = (folder / "published.txt").read_text()
    same = True
    for kind in ("bbox", "segm"):
        rows = json.loads((folder / f"{kind}_results.json").read_bytes())
        expected = published(text, kind)
        assert len(expected) == 12, f"expected 12 published lines for {kind}, got {len(expected)}"
        ways = {f"COCO {kind}": coco.figures(coco.evaluate(truth, rows, kind))}
        if kind == "bbox":
            ways["COCO bbox, Foveal's types"] = as_foveal(truth, rows)
        for title, figures in ways.items():
            same &= compare(title, expected, {name: f"{value:.3f}" for name, value in figures.items()})
    return same


def check_voc(folder: Path) -> bool:
    """One class; 15 objects, so that "every point" is the mean over recalls 1/15, 2/15, …"""
    found, objects = [], {}
    for path in sorted((folder / "detections").glob("*.txt")):
        lines = (folder / "groundtruths" / path.name).read_text().splitlines()
        objects[path.name] = [list(map(float, line.split()[1:])) for line in lines]
        for line in path.read_text().splitlines():
            _, score, *xywh = line.split()
            found.append((float(score), path.name, list(map(float, xywh))))
    found.sort(key=lambda item: -item[0])
    hit = voc_hits(found, objects)
    scores, count = np.array([score for score, *_ in found]), sum(map(len, objects.values()))
    recalls = {"every point": np.arange(1, count + 1) / count, "11 points": np.linspace(0, 1, 11)}
    got = {name: coco.average_precision(scores, hit, count, recalls=at) for name, at in recalls.items()}
    for name, value in got.items():
        print(f"{'VOC worked example':28} {name:12} published {VOC_PUBLISHED[name]:6} got {100 * value:.4f}")
    # one of the two is published cut off (24.5687), the other rounded (26.8398): the last printed digit may be one off
    return all(abs(100 * value - VOC_PUBLISHED[name]) < 0.01 for name, value in got.items())


def voc_hits(found: list[tuple[float, str, list[float]]], objects: dict[str, list[list[float]]]) -> np.ndarray:
    """VOC's matching: each detection looks at its best object only; the first to come takes it. IoU at least 0.3."""
    taken, hit = set(), []
    for _, image, box in found:
        overlaps = [inclusive_iou(box, other) for other in objects[image]]
        best = int(np.argmax(overlaps))
        right = overlaps[best] >= 0.3 and (image, best) not in taken
        hit.append(right)
        if right:
            taken.add((image, best))
    return np.array(hit)


def inclusive_iou(a: list[float], b: list[float]) -> float:
    """Of (x, y, width, height), counting both end pixels as VOC did: x + width is the last pixel, not the edge."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) + 1
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) + 1
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] + 1) * (a[3] + 1) + (b[2] + 1) * (b[3] + 1) - both)


def main(root: Path) -> int:
    for needed in ("coco-ap/ground_truth.json", "voc-ap/detections"):
        if not (root / needed).exists():
            print(f"{root / needed}: expected the reference data there, got nothing", file=sys.stderr)
            return 2
    same = [check_coco(root / "coco-ap"), check_voc(root / "voc-ap")]
    print("every published line is reproduced" if all(same) else "a published line is NOT reproduced")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/reference")))
