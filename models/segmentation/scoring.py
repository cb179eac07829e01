"""Predictions of training as the core's results (`result_of`), so that the core's scorer takes them."""

import numpy as np
import numpy.typing as npt

from foveal.imaging.class_map import to_image
from foveal.imaging.preprocess import ImageTransform, Preprocess
from foveal.tasks.semantic_segmentation import SemanticMap

UInt8Array = npt.NDArray[np.uint8]


def result_of(predicted: UInt8Array, truth: UInt8Array, preprocess: Preprocess, labels: tuple[str, ...]) -> SemanticMap:
    """A model input's map as production returns it: the image's own size."""
    image_hw = (truth.shape[0], truth.shape[1])
    content = preprocess.resized_hw(image_hw)
    transform = ImageTransform(
        image_hw, preprocess.input_hw, content, (content[1] / image_hw[1], content[0] / image_hw[0])
    )
    return SemanticMap(to_image(predicted, transform), labels, image_hw)
