"""Objects painted into class maps (`read_painted`): a data set of outlines as one of semantic segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.detection.layouts.read import INSTANCES
from foveal.models.detection.layouts.truth import describe
from foveal.models.detection.recipe import InstanceRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.reader import Reading
from foveal.models.segmentation.layouts.truth import BACKGROUND, Ids, LabelMap, UInt8Array, labelled
from foveal.models.segmentation.recipe import SegmentationRecipe


@dataclass(frozen=True)
class PaintedObjects(Ids):
    """The class ids of one image: background, then the objects from large to small, so that none hides a smaller."""

    truth: ObjectTruth
    id_of: tuple[int, ...]  # class of an object -> id in the map
    background: int  # of what no object covers

    def read(self) -> UInt8Array:
        """(H, W) ids."""
        ids = np.full(self.truth.image_hw, self.background, np.uint8)
        masks = self.truth.masks or ()
        for i in np.argsort([-float(coco_mask.area(mask)) for mask in masks], kind="stable"):
            ids[coco_mask.decode(masks[i]) > 0] = self.id_of[int(self.truth.class_ids[i])]
        return ids

    def describe(self) -> str:
        """The objects."""
        return describe(self.truth)

    def size(self) -> tuple[int, int]:
        """As the objects' image."""
        return self.truth.image_hw


def read_painted(folder: DataFolder, recipe: SegmentationRecipe) -> Reading[LabelMap] | None:
    """Any layout of objects, or None when there is none.

    Raises:
        BadData: as the layout's own reader.
    """
    readings = (layout.read(folder, InstanceRecipe()) for layout in INSTANCES.layouts)
    reading = next((one for one in readings if one is not None), None)
    if reading is None:
        return None
    classes, background = _classes(reading)
    id_of = tuple(classes.index(label) for label in reading.labels)
    samples = [Sample(s.name, s.path, PaintedObjects(s.truth, id_of, background)) for s in reading.samples]
    findings = [
        Finding("missing mask", s.name, f"{len(s.truth)} objects, boxes only")
        for s in reading.samples
        if len(s.truth) and s.truth.masks is None
    ]
    return labelled(
        f"{reading.layout}, painted", classes, samples, reading.split_of, (*reading.findings, *findings), recipe
    )


def _classes(reading: Reading[ObjectTruth]) -> tuple[Sequence[str], int]:
    """Names, and the place of what no object covers: a category of that name, else one more where it is needed."""
    if BACKGROUND in reading.labels:
        return reading.labels, reading.labels.index(BACKGROUND)
    if reading.samples and all(_covered(sample.truth) for sample in reading.samples):
        return reading.labels, 0
    return (BACKGROUND, *reading.labels), 0


def _covered(truth: ObjectTruth) -> bool:
    """Whether objects cover every pixel."""
    if not truth.masks:
        return False
    height, width = truth.image_hw
    return int(coco_mask.area(coco_mask.merge(list(truth.masks)))) == height * width
