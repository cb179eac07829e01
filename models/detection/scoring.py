"""Predictions of training as the core's Detections, and their COCO figures by the code that scores packages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foveal.imaging.preprocess import Preprocess
from foveal.metrics import coco
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.detection.items import transform_of
from foveal.results import FloatArray
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks
from foveal.tasks.object_detection import MIN_SIDE_PX


@dataclass(frozen=True)
class Found:
    """What the network found on one model input, best first."""

    boxes_xyxy: FloatArray  # (K, 4) model-input pixels
    scores: FloatArray  # (K,)
    class_ids: npt.NDArray[np.int64]  # (K,) from 0
    masks: FloatArray | None  # (K, m, m) soft


def in_original_pixels(
    found: Found, image_hw: tuple[int, int], labels: Sequence[str], preprocess: Preprocess
) -> Detections:
    """A model input's detections as the result that the core's task would make of them."""
    boxes = transform_of(image_hw, preprocess).to_image(found.boxes_xyxy)
    visible = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE_PX).all(axis=1)
    masks = None if found.masks is None else InstanceMasks(found.masks[visible])
    return Detections(boxes[visible], found.scores[visible], found.class_ids[visible], tuple(labels), image_hw, masks)


def detections_of(
    predictions: Sequence[Found],
    samples: Sequence[Sample[ObjectTruth]],
    labels: Sequence[str],
    preprocess: Preprocess,
) -> list[Detections]:
    """A split's predictions in original pixels."""
    pairs = zip(predictions, samples, strict=True)
    return [in_original_pixels(found, sample.truth.image_hw, labels, preprocess) for found, sample in pairs]


def coco_scores(
    results: Sequence[Detections], truths: Sequence[ObjectTruth], labels: Sequence[str]
) -> dict[str, float]:
    """AP50 and AP, of masks where there are any (boxes then under box_AP50, box_AP), and AP50 by label.

    The quick part of foveal.metrics.detection, for every epoch. A figure without objects to measure it on is left out.
    """
    kinds: list[tuple[coco.Kind, str]] = [("bbox", "")]
    if any(result.masks is not None for result in results):
        kinds = [("segm", ""), ("bbox", "box_")]
    scores: dict[str, float] = {}
    for kind, prefix in kinds:
        run = coco.evaluate(coco.truth_dataset(truths, labels, kind), coco.result_rows(results, kind), kind)
        figures = coco.figures(run)
        scores |= {f"{prefix}{name}": figures.get(name, 0.0) for name in ("AP50", "AP")}
        if not prefix and len(labels) > 1:
            by_label = {label: coco.figures(run, category=k) for k, label in enumerate(labels)}
            scores |= {f"AP50 {label}": one["AP50"] for label, one in by_label.items() if "AP50" in one}
    return scores
