"""Readers of object detection and instance segmentation: layouts, counts, strata."""

from collections import Counter
from collections.abc import Mapping, Sequence

from foveal.imaging.decode import decode
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.detection.layouts.check import examine
from foveal.models.detection.layouts.coco import read_coco
from foveal.models.detection.layouts.idmaps import read_idmaps
from foveal.models.detection.layouts.tools.cvat import read_cvat
from foveal.models.detection.layouts.tools.label_studio import read_label_studio
from foveal.models.detection.layouts.tools.labelme import read_labelme
from foveal.models.detection.layouts.tools.supervisely import read_supervisely
from foveal.models.detection.layouts.tools.table import read_table
from foveal.models.detection.layouts.truth import describe
from foveal.models.detection.layouts.voc import read_voc
from foveal.models.detection.layouts.yolo.read import read_yolo
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.reading.reader import Layout, Reader

LAYOUTS: tuple[Layout[ObjectTruth], ...] = (
    Layout("COCO JSON", read_coco),
    Layout("Pascal VOC", read_voc),
    Layout("YOLO txt", read_yolo),
    Layout("CVAT XML", read_cvat),
    Layout("Label Studio JSON", read_label_studio),
    Layout("labelme JSON", read_labelme),
    Layout("Supervisely JSON", read_supervisely),
    Layout("table of boxes", read_table),
    Layout("instance-id maps", read_idmaps),
)


def learnt(truth: ObjectTruth, labels: Sequence[str]) -> Mapping[str, int]:
    """Label -> objects that a network learns from; crowds and difficult objects are not."""
    return Counter(labels[i] for i, crowd in zip(truth.class_ids, truth.crowd, strict=True) if not crowd)


def stratify(sample: Sample[ObjectTruth], recipe: DetectionRecipe) -> Mapping[str, int]:
    """The kind of image, where the recipe asks for it."""
    return {f"kind {appearance_of(sample)}": 1} if recipe.stratify_by_appearance else {}


def appearance_of(sample: Sample[ObjectTruth]) -> str:
    """An image's kind by its mean colour and size: dark, or light with a blue or a red cast.

    Tells apart, for instance, fluorescence, haematoxylin-eosin and purple stains, and magnifications that come with
    sensor sizes of their own.
    """
    red, _, blue = decode(sample.path.read_bytes()).rgb.mean((0, 1))
    height, width = sample.truth.image_hw
    tone = "dark" if red + blue < 160 else "blue" if blue >= red else "red"
    return f"{tone} {width}x{height}"


def _describe(truth: ObjectTruth, _: Sequence[str]) -> str:
    return describe(truth)


DETECTION = Reader(LAYOUTS, DetectionRecipe, examine, learnt, _describe, stratify=stratify)
INSTANCES = Reader(LAYOUTS, InstanceRecipe, examine, learnt, _describe, stratify=stratify)
