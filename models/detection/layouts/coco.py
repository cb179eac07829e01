"""COCO JSON (https://cocodataset.org/#format-data): boxes, polygons, compressed and uncompressed run lengths.

One file, or one a split with train, val or test in its name, at the root or in annotations/. Images are looked for
beside the file, at the root and in images/, with and without a folder of the split's name.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth, Rle
from foveal.models.data.dataset import SPLITS, Sample, listed
from foveal.models.detection.layouts.truth import objects
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading

Row = dict[str, Any]


def read_coco(folder: DataFolder, _: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one. Labels are in the order of category ids.

    Raises:
        BadData: files that disagree about the categories, or images that are not there.
    """
    root = folder.base
    documents = dict(_documents(root))
    if not documents:
        return None
    categories = [{int(c["id"]): str(c["name"]) for c in d["categories"]} for d in documents.values()]
    if any(one != categories[0] for one in categories):
        raise BadData(f"expected the same categories in {listed([p.name for p in documents])}, got different ones")
    class_of = {category: index for index, category in enumerate(sorted(categories[0]))}
    labels = tuple(categories[0][category] for category in class_of)
    samples: list[Sample[ObjectTruth]] = []
    split_of: dict[str, str] = {}
    findings: list[Finding] = []
    for path, document in documents.items():
        split = next((s for s in SPLITS if s in path.stem.lower()), None) if len(documents) > 1 else None
        read, odd = _samples(root, path, document, split, class_of)
        samples += read
        findings += odd
        split_of |= {sample.name: split for sample in read if split}
    samples.sort(key=lambda sample: sample.name)
    return Reading("COCO JSON", labels, tuple(samples), split_of, tuple(findings))


def _documents(root: Path) -> Iterator[tuple[Path, Row]]:
    """JSON files that are COCO data sets."""
    for path in sorted([*root.glob("*.json"), *(root / "annotations").glob("*.json")]):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BadData(f"{path}: expected JSON: {error}") from None
        if isinstance(document, dict) and {"images", "annotations", "categories"} <= document.keys():
            yield path, document


def _samples(
    root: Path, path: Path, document: Row, split: str | None, class_of: Mapping[int, int]
) -> tuple[list[Sample[ObjectTruth]], list[Finding]]:
    try:
        images = {row["id"]: row for row in document["images"]}
        rows: dict[Any, list[Row]] = defaultdict(list)
        for row in document["annotations"]:
            rows[row["image_id"]].append(row)
        found = {image_id: _image(root, path, str(row["file_name"]), split) for image_id, row in images.items()}
        if missing := [images[i]["file_name"] for i, image in found.items() if image is None]:
            raise BadData(f"{path}: images that are not there: {listed(missing)}")
        findings = [Finding("unknown image", path.name, f"image_id {i}") for i in rows if i not in images]
        samples = []
        for image_id, image in found.items():
            assert image is not None
            name = image.relative_to(root).as_posix()
            mine = [row for row in rows[image_id] if row["category_id"] in class_of]
            findings += [
                Finding("unknown label", name, f"category_id {row['category_id']}")
                for row in rows[image_id]
                if row["category_id"] not in class_of
            ]
            samples.append(Sample(name, image, _truth(images[image_id], mine, class_of)))
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{path}: expected COCO's fields: {type(error).__name__}: {error}") from None
    return samples, findings


def _image(root: Path, document: Path, file_name: str, split: str | None) -> Path | None:
    folders = [document.parent, root, root / "images"]
    folders += [folder / split for folder in folders if split]
    return next((folder / file_name for folder in folders if (folder / file_name).is_file()), None)


def _truth(image: Row, rows: list[Row], class_of: Mapping[int, int]) -> ObjectTruth:
    image_hw = (int(image["height"]), int(image["width"]))
    boxes = [[float(v) for v in row["bbox"]] for row in rows]
    masks = [_rle(row.get("segmentation"), image_hw) for row in rows]
    known = [mask for mask in masks if mask is not None]
    return objects(
        [[x, y, x + w, y + h] for x, y, w, h in boxes],
        [class_of[row["category_id"]] for row in rows],
        image_hw,
        iscrowd=[bool(row.get("iscrowd", 0)) for row in rows],
        masks=known if len(known) == len(rows) else None,
        areas_px=[float(row["area"]) for row in rows] if all("area" in row for row in rows) else None,
    )


def _rle(segmentation: Any, image_hw: tuple[int, int]) -> Rle | None:
    """Any of COCO's three ways to write a mask, as compressed run lengths; None without one."""
    if not segmentation:
        return None
    height, width = image_hw
    if isinstance(segmentation, list):  # polygons: the pieces of one object
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    counts = rle["counts"]
    return {"size": [height, width], "counts": counts.decode() if isinstance(counts, bytes) else counts}
