"""Layouts of semantic segmentation: mask files in many folders, COCO panoptic, objects painted into maps."""

from foveal.models.segmentation.layouts.read import READER
from foveal.models.segmentation.layouts.truth import LabelMap, UInt8Array

__all__ = ["READER", "LabelMap", "UInt8Array"]
