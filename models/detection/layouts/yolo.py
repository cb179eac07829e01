"""YOLO: a .txt beside (…/labels/…) every image (…/images/…), and data.yaml or classes.txt for the names.

A line is `class cx cy w h`, fractions of the upright image; longer lines are `class x1 y1 x2 y2 …`, an outline whose
box is taken and, when every object has one, whose mask too. An image without a .txt has no objects.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pycocotools import mask as coco_mask

from foveal.errors import BadData
from foveal.imaging.decode import EXTENSIONS, read_header
from foveal.metrics.truth import ObjectTruth, Rle
from foveal.models.data.dataset import SPLITS, Sample
from foveal.models.detection.layouts.truth import objects
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading


def read_yolo(folder: DataFolder, _: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one.

    Raises:
        BadData: no names, damaged lines, classes beyond the names.
    """
    root = folder.base
    images, texts = root / "images", root / "labels"
    if not (images.is_dir() and texts.is_dir()):
        return None
    names = _names(root)
    photos = sorted(p for p in images.rglob("*") if p.suffix.lower() in EXTENSIONS)
    samples = []
    findings: list[Finding] = []
    for image in photos:
        name = image.relative_to(root).as_posix()
        text = texts / image.relative_to(images).with_suffix(".txt")
        image_hw = read_header(image.read_bytes()).image_hw
        samples.append(Sample(name, image, _truth(text, name, image_hw, len(names), findings)))
    split_of = {s.name: s.name.split("/")[1] for s in samples if s.name.split("/")[1] in SPLITS}
    return Reading("YOLO txt", names, tuple(samples), split_of, tuple(findings))


def _names(root: Path) -> tuple[str, ...]:
    described, plain = root / "data.yaml", root / "classes.txt"
    if plain.exists() and not described.exists():
        return tuple(line.strip() for line in plain.read_text().splitlines() if line.strip())
    try:
        names: Any = yaml.safe_load(described.read_text())["names"]
        ordered = [names[i] for i in range(len(names))]  # a list, or a mapping from 0
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise BadData(f"{described}: expected the names of the classes (or classes.txt): {error}") from None
    return tuple(str(name) for name in ordered)


def _truth(text: Path, name: str, image_hw: tuple[int, int], classes: int, findings: list[Finding]) -> ObjectTruth:
    height, width = image_hw
    boxes, class_ids, masks = [], [], []
    for number, line in enumerate(text.read_text().splitlines() if text.exists() else [], 1):
        words = line.split()
        if not words:
            continue
        try:
            class_id, values = int(words[0]), [float(word) for word in words[1:]]
        except ValueError:
            raise BadData(f"{text}, line {number}: expected numbers, got {line[:80]!r}") from None
        if len(values) < 4 or len(values) % 2:
            raise BadData(f"{text}, line {number}: expected 4 numbers or an outline, got {len(values)}")
        if not 0 <= class_id < classes:
            findings.append(Finding("unknown label", name, f"class {class_id} of {classes}, line {number}"))
            continue
        outline = np.array(values).reshape(-1, 2) * [width, height]
        if len(values) == 4:
            (cx, cy), (w, h) = outline
            boxes.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
        else:
            boxes.append([*outline.min(0), *outline.max(0)])
            masks.append(_rle(outline, image_hw))
        class_ids.append(class_id)
    return objects(boxes, class_ids, image_hw, masks=masks if masks and len(masks) == len(boxes) else None)


def _rle(outline: np.ndarray[Any, Any], image_hw: tuple[int, int]) -> Rle:
    rle = coco_mask.frPyObjects([outline.ravel().tolist()], *image_hw)[0]
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}
