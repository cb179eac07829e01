"""COCO results (https://cocodataset.org/#format-results): one JSON array that pycocotools' `COCO.loadRes` reads.

Ids: of a COCO ground-truth file when one is given, by file name and category name. Else pictures are numbered from 1 in
the order in which they came (failed ones included, so that numbers follow the input), and category_id = class_id + 1.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from foveal import masks
from foveal.errors import BadData, BadRequest
from foveal.formats.entry import Entry, to_json
from foveal.manifest import Manifest
from foveal.options import Options
from foveal.results import Detections

TASKS = ("object-detection", "instance-segmentation")


@dataclass(frozen=True)
class CocoIds:
    """The ids of a COCO data set."""

    images: dict[str, int]  # file name as the data set has it -> id
    categories: dict[str, int]  # label -> id
    source: str  # for messages

    @classmethod
    def read(cls, path: Path) -> "CocoIds":
        """From a ground-truth file.

        Raises:
            BadData: not readable, or not a COCO data set.
        """
        try:
            data = json.loads(path.read_bytes())
            images = {image["file_name"]: int(image["id"]) for image in data["images"]}
            categories = {category["name"]: int(category["id"]) for category in data["categories"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadData(f"{path}: expected a COCO data set with images and categories: {error!r}") from None
        return cls(images, categories, str(path))

    def image_id(self, name: str) -> int:
        """Of a picture's name, else of its last part where only one picture is called so.

        Raises:
            BadData: no such picture.
        """
        if name in self.images:
            return self.images[name]
        last = PurePosixPath(name).name
        same = [found for file_name, found in self.images.items() if PurePosixPath(file_name).name == last]
        if len(same) != 1:
            raise BadData(f"{self.source}: expected one picture called {last!r}, got {len(same)}")
        return same[0]


class CocoResults:
    """Rows of image_id, category_id, bbox (x, y, width, height), score and, with masks, segmentation (RLE)."""

    media_type = "application/json"
    resumable = False  # a row does not know whether another stands before it, nor the number of its picture

    def __init__(self, manifest: Manifest, options: Options, ids: CocoIds | None = None) -> None:
        if manifest.task not in TASKS:
            raise BadRequest(f"format 'coco': expected a model of {' or '.join(TASKS)}, got {manifest.task}")
        if ids is not None and (unknown := set(manifest.labels) - set(ids.categories)):
            raise BadData(f"{ids.source}: expected the model's labels as categories, got none for {sorted(unknown)}")
        self._ids = ids
        self._written: Counter[str] = Counter()

    def open(self) -> bytes:
        """The array begins."""
        return b"["

    def write(self, entry: Entry) -> bytes:
        """A picture's rows; none for one that failed."""
        self._written["pictures"] += 1
        if not isinstance(entry.outcome, Detections):
            return b""
        image_id = self._image_id(entry)
        lines = [to_json(self._row(entry.outcome, i, image_id)) for i in range(len(entry.outcome))]
        separated = b"".join(
            (b"\n" if n == 0 else b",\n") + line for n, line in enumerate(lines, self._written["rows"])
        )
        self._written["rows"] += len(lines)
        return separated

    def close(self) -> bytes:
        """The array ends."""
        return b"\n]\n"

    def _image_id(self, entry: Entry) -> int:
        if self._ids is None:
            return self._written["pictures"]
        return self._ids.image_id(entry.name or "")

    def _row(self, result: Detections, index: int, image_id: int) -> dict[str, Any]:
        class_id = int(result.class_ids[index])
        x1, y1, x2, y2 = (round(float(edge), 2) for edge in result.boxes_xyxy[index])
        row: dict[str, Any] = {
            "image_id": image_id,
            "category_id": class_id + 1 if self._ids is None else self._ids.categories[result.labels[class_id]],
            "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
            "score": round(float(result.scores[index]), 6),
        }
        if result.masks is not None:
            row["segmentation"] = masks.rle(masks.bitmap_of(result, index))
        return row
