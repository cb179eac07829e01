"""Objects painted into class maps: COCO JSON as a layout of semantic segmentation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.detection.layouts.coco import read_coco
from foveal.models.detection.layouts.truth import describe
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding

BACKGROUND = "background"  # what no object covers; a category of this name is that class


@dataclass(frozen=True)
class PaintedObjects:
    """The class ids of one image: background, then the objects from large to small, so that none hides a smaller."""

    truth: ObjectTruth
    id_of: tuple[int, ...]  # class of an object -> id in the map
    background: int

    def read(self) -> npt.NDArray[np.uint8]:
        """(H, W) ids."""
        ids = np.full(self.truth.image_hw, self.background, np.uint8)
        masks = self.truth.masks or ()
        for i in np.argsort([-float(coco_mask.area(mask)) for mask in masks], kind="stable"):
            ids[coco_mask.decode(masks[i]) > 0] = self.id_of[int(self.truth.class_ids[i])]
        return ids

    def describe(self) -> str:
        """For the data set's fingerprint."""
        return describe(self.truth)


@dataclass(frozen=True)
class PaintedSet:
    """Classes, images and splits of COCO JSON."""

    classes: tuple[str, ...]
    samples: tuple[Sample[PaintedObjects], ...]
    split_of: dict[str, str]  # sample name -> split, where the files have it
    findings: tuple[Finding, ...]


def read_painted(folder: DataFolder) -> PaintedSet | None:
    """Read the layout, or None when there is no COCO JSON.

    Raises:
        BadData: as `read_coco` does.
    """
    reading = read_coco(folder, DetectionRecipe())
    if reading is None:
        return None
    classes = reading.labels if BACKGROUND in reading.labels else (BACKGROUND, *reading.labels)
    id_of = tuple(classes.index(label) for label in reading.labels)
    samples = tuple(
        Sample(s.name, s.path, PaintedObjects(s.truth, id_of, classes.index(BACKGROUND))) for s in reading.samples
    )
    findings = [
        Finding("missing mask", s.name, f"{len(s.truth)} objects, boxes only")
        for s in reading.samples
        if len(s.truth) and s.truth.masks is None
    ]
    return PaintedSet(classes, samples, dict(reading.split_of), (*reading.findings, *findings))
