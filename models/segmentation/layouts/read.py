"""The reader of semantic segmentation: layouts, counts, what the fingerprint is made of."""

from collections.abc import Mapping, Sequence

from foveal.errors import BadData
from foveal.models.reading.reader import Layout, Reader
from foveal.models.segmentation.layouts import masks, panoptic
from foveal.models.segmentation.layouts.check import examine
from foveal.models.segmentation.layouts.painted import read_painted
from foveal.models.segmentation.layouts.truth import LabelMap
from foveal.models.segmentation.recipe import SegmentationRecipe


def _counts(truth: LabelMap, labels: Sequence[str]) -> Mapping[str, int]:
    try:
        return {labels[i]: 1 for i in sorted(truth.present())}
    except BadData:  # a finding of `examine`
        return {}


def _describe(truth: LabelMap, _: Sequence[str]) -> str:
    return truth.ids.describe()


READER = Reader(
    (
        Layout(panoptic.NAME, panoptic.read_panoptic),
        Layout(masks.NAME, masks.read_masks),
        Layout("masks beside boxes (Pascal VOC)", masks.read_masks_asked_for, borrowed=True),
        Layout("objects with outlines, painted", read_painted, borrowed=True),
    ),
    SegmentationRecipe,
    examine,
    _counts,
    _describe,
    "images with the class",
)
