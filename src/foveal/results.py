"""Results: base class of what a model says about one image; the result types themselves are in foveal.tasks.

Results are validated, frozen structs of arrays, in pixels of the original image after EXIF orientation.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadRequest, FovealError
from foveal.imaging.sources import ImageSource, load

if TYPE_CHECKING:
    import pandas

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
JsonObject = dict[str, Any]


class Result(ABC):
    """What every result can do, whatever its task."""

    labels: tuple[str, ...]  # class id -> label, of the model
    image_hw: tuple[int, int]  # of the original image, after EXIF orientation

    @abstractmethod
    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """The members that the result has in JSON: HTTP's `results`, `foveal predict --format jsonl`.

        Args:
            mask_format: rle, polygon, png or none, where the task has masks; None: the task's own.
        """

    @abstractmethod
    def rows(self) -> list[Mapping[str, object]]:
        """The result as flat rows: those of `foveal predict --format csv`."""

    @abstractmethod
    def summary(self) -> Mapping[str, float]:
        """Label -> what the image adds to a batch job's summary: images, objects or a share of its area."""

    @abstractmethod
    def paint(self, drawn: UInt8Array) -> None:
        """Draw the result onto an image (H, W, 3) uint8 RGB of `image_hw`, in place."""

    @property
    def top_score(self) -> float | None:
        """The best score of a class or an object; None where there is none."""
        return None

    def overlay(self, rgb: UInt8Array) -> UInt8Array:
        """A copy of the image with the result drawn on it.

        Args:
            rgb: (H, W, 3) uint8, upright, full size; of the image that the result is about.
        """
        assert rgb.shape[:2] == self.image_hw, f"expected an image of {self.image_hw}, got {rgb.shape[:2]}"
        drawn = rgb.copy()
        self.paint(drawn)
        return drawn

    def draw(self, image: ImageSource) -> Image.Image:
        """The result drawn on its image, as a Pillow image.

        Args:
            image: the image that was predicted: a path, bytes, a file object, a Pillow image or an RGB array.

        Raises:
            BadImage: it cannot be read. BadRequest: it has another size than the image that the result is about.
        """
        rgb = load(image).rgb
        if rgb.shape[:2] != self.image_hw:
            expected, got = (f"{w} x {h}" for h, w in (self.image_hw, rgb.shape[:2]))
            raise BadRequest(f"expected the image that was predicted, {expected} px, got one of {got}")
        return Image.fromarray(self.overlay(rgb))

    def to_pandas(self) -> "pandas.DataFrame":
        """`rows` as a pandas.DataFrame.

        Raises:
            FovealError: pandas is not installed.
        """
        frame: pandas.DataFrame = optional("pandas", "to_pandas").DataFrame(self.rows())
        return frame


def optional(module: str, user: str) -> Any:
    """A library that only one method needs.

    Raises:
        FovealError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise FovealError(f"{user} needs {module!r}: pip install {module}") from None


def expect(condition: bool, message: str) -> None:
    """Raise ValueError unless the condition holds: a result that breaks it is a bug, or a model's."""
    if not condition:
        raise ValueError(message)


def expect_scored(scores: FloatArray, class_ids: IntArray, labels: Sequence[str]) -> None:
    """Scores (N,) float32, finite, descending; class_ids (N,) int64, below the number of labels."""
    expect(scores.ndim == 1 and scores.dtype == np.float32, f"scores: expected (N,) float32, got {scores.shape}")
    expect(class_ids.shape == scores.shape, f"class_ids: expected shape {scores.shape}, got {class_ids.shape}")
    expect(class_ids.dtype == np.int64, f"class_ids: expected int64, got {class_ids.dtype}")
    expect(bool(np.isfinite(scores).all()), "scores: expected finite numbers, got NaN or infinity")
    expect(bool((scores[:-1] >= scores[1:]).all()), "scores: expected descending order")
    if class_ids.size:
        low, high = int(class_ids.min()), int(class_ids.max())
        expect(low >= 0 and high < len(labels), f"class_ids: expected 0..{len(labels) - 1}, got {low}..{high}")
