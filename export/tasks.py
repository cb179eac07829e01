"""Exporters by task (`EXPORTERS`); one line a task."""

from foveal.errors import UnknownName
from foveal.export.base import Exporter
from foveal.export.classification import ClassificationExporter
from foveal.export.detection.exporter import DetectionExporter
from foveal.export.segmentation import SegmentationExporter

EXPORTERS: dict[str, Exporter] = {
    "classification": ClassificationExporter(),
    "object-detection": DetectionExporter(),
    "instance-segmentation": DetectionExporter(),
    "semantic-segmentation": SegmentationExporter(),
}


def exporter_of(task: str) -> Exporter:
    """The task's exporter.

    Raises:
        UnknownName: no exporter for that task.
    """
    if task not in EXPORTERS:
        raise UnknownName.among("task", task, EXPORTERS)
    return EXPORTERS[task]
