"""COCO results (https://cocodataset.org/#format-results): one JSON array that pycocotools' `COCO.loadRes` reads.

Ids: of a COCO ground-truth file when one is given, by file name and category name. Else images are numbered from 1 in
the order in which they came (failed ones included, so that numbers follow the input), and category_id = class_id + 1.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar

from foveal.errors import BadData, BadRequest, FovealError
from foveal.formats.entry import Entry, to_json
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec
from foveal.tasks import TASKS
from foveal.text_files import read_text

_NOT_YET = -1  # image_id of a row whose image has no number before all lines are there


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
            data = json.loads(read_text(path))
            images = {image["file_name"]: int(image["id"]) for image in data["images"]}
            categories = {category["name"]: int(category["id"]) for category in data["categories"]}
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise BadData(f"{path}: expected a COCO data set with images and categories: {error!r}") from None
        return cls(images, categories, str(path))

    def image_id(self, name: str) -> int:
        """Of an image's name, else of its last part where only one image is called so.

        Raises:
            BadData: no such image.
        """
        if name in self.images:
            return self.images[name]
        last = PurePosixPath(name).name
        same = [found for file_name, found in self.images.items() if PurePosixPath(file_name).name == last]
        if len(same) != 1:
            raise BadData(f"{self.source}: expected one image called {last!r}, got {len(same)}")
        return same[0]


class CocoResults:
    """Rows of image_id, category_id, bbox (x, y, width, height), score and, with masks, segmentation (RLE)."""

    media_type = "application/json"
    unused_options: ClassVar[tuple[str, ...]] = ("mask_format",)  # pycocotools reads run lengths

    def __init__(self, spec: PipelineSpec, options: Options, ids: CocoIds | None = None) -> None:
        self._task = TASKS[spec.task]
        if not self._task.has_objects:
            offered = " or ".join(name for name, task in TASKS.items() if task.has_objects)
            raise BadRequest(f"format 'coco': expected a model of {offered}, got {spec.task}")
        if ids is not None and (unknown := set(spec.labels) - set(ids.categories)):
            raise BadData(f"{ids.source}: expected the model's labels as categories, got none for {sorted(unknown)}")
        self._labels = spec.labels
        self._ids = ids

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, entry: Entry) -> bytes:
        """A line with an image's rows; an empty list for one that failed."""
        if isinstance(entry.outcome, FovealError):
            return b"[]\n"
        image_id = _NOT_YET if self._ids is None else self._ids.image_id(entry.name or "")
        return to_json([self._row(row, image_id) for row in self._task.coco_rows(entry.outcome)]) + b"\n"

    def assemble(self, lines: BinaryIO, out: BinaryIO) -> None:
        """One array of all rows; a line's number is its image's, where no data set gives ids."""
        before = b"[\n"
        for number, line in enumerate(lines, 1):
            for row in json.loads(line):
                if row["image_id"] == _NOT_YET:
                    row["image_id"] = number
                out.write(before + to_json(row))
                before = b",\n"
        out.write(b"[\n]\n" if before == b"[\n" else b"\n]\n")

    def _row(self, row: dict[str, Any], image_id: int) -> dict[str, Any]:
        class_id = row.pop("class_id")
        category_id = class_id + 1 if self._ids is None else self._ids.categories[self._labels[class_id]]
        return {"image_id": image_id, "category_id": category_id, **row}
