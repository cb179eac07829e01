"""Results: base class of what a model says about one image; the result types themselves are in foveal.tasks.

Results are validated, frozen structs of arrays, in pixels of the original image after EXIF orientation.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadRequest, BadResult, FovealError
from foveal.imaging.decode import Decoded
from foveal.imaging.sources import ImageSource, load

if TYPE_CHECKING:
    import pandas

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
JsonObject = dict[str, Any]


class Result(ABC):
    """What every result can do, whatever its task.

    A call of a model gives one of `Classification`, `Detections` and `SemanticMap`; which one, its task decides.
    Type checkers know after `assert isinstance(found, foveal.Detections)`.

    Results are frozen and compare by value. Pixels are those of the original image after EXIF orientation.

    Attributes:
        labels: class id -> label, of the model.
        image_hw: (height, width) of the original image.

    Example:
        >>> import foveal
        >>> result = foveal.load("shapes")("examples/shapes.png")
        >>> isinstance(result, foveal.Result), result.image_hw
        (True, (192, 256))
    """

    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    @abstractmethod
    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """The members that the result has in JSON: those of HTTP and of `foveal predict --format jsonl`.

        Args:
            mask_format: rle, polygon, png or none, where the task has masks; None: rle for objects, png for class maps.

        Returns:
            Strings, numbers, lists and dicts; scores rounded to 6 decimals, boxes to 2.

        Raises:
            BadRequest: an unknown mask format, or one that the task does not have; the choices are listed.

        Example:
            >>> import foveal
            >>> foveal.load("shapes")("examples/shapes.png", top_k=1).to_dict()  # doctest: +ELLIPSIS
            {'classes': [{'label': 'star', 'class_id': 4, 'score': 0.89...}]}
        """

    @abstractmethod
    def rows(self) -> list[Mapping[str, object]]:
        """The result as flat rows: those of `foveal predict --format csv`.

        Returns:
            One mapping a class, an object or a label; the same keys in every row.

        Example:
            >>> import foveal
            >>> foveal.load("shapes")("examples/shapes.png", top_k=1).rows()  # doctest: +ELLIPSIS
            [{'rank': 1, 'label': 'star', 'class_id': 4, 'score': 0.89...}]
        """

    @abstractmethod
    def summary(self) -> Mapping[str, float]:
        """What the image adds to a batch job's summary.

        Returns:
            Label -> 1 for the most likely class, number of objects, or share of the image's area.

        Example:
            >>> import foveal
            >>> foveal.load("blood-cells")("examples/blood-cells.png", score_threshold=0.6).summary()
            {'WBC': 2, 'RBC': 21, 'Platelets': 1}
        """

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

        Raises:
            BadImage: not such an array. BadRequest: it has another size than the image that the result is about.
        """
        drawn = Decoded.of_array(rgb).rgb.copy()
        if drawn.shape[:2] != self.image_hw:
            expected, got = (f"{w} x {h}" for h, w in (self.image_hw, drawn.shape[:2]))
            raise BadRequest(f"expected the image that was predicted, {expected} px, got one of {got} px")
        self.paint(drawn)
        return drawn

    def draw(self, image: ImageSource) -> Image.Image:
        """The result drawn on its image.

        Args:
            image: the image that was predicted: a path, bytes, a file object, a Pillow image or an RGB array. It is
                not changed.

        Returns:
            A Pillow image, RGB, upright, of the original's size; `.save("out.png")` writes it.

        Raises:
            BadImage: it cannot be read. BadRequest: it has another size than the image that the result is about.

        Example:
            >>> import foveal
            >>> found = foveal.load("blood-cells")("examples/blood-cells.png", score_threshold=0.6)
            >>> found[found.scores > 0.9].draw("examples/blood-cells.png").size
            (640, 480)
        """
        return Image.fromarray(self.overlay(load(image).rgb))

    def to_pandas(self) -> "pandas.DataFrame":
        """`rows` as a pandas.DataFrame.

        Returns:
            One row a class, an object or a label. Without objects it has no rows, but the same columns and dtypes.

        Raises:
            FovealError: pandas is not installed.

        Example:
            >>> import foveal
            >>> found = foveal.load("blood-cells")("examples/blood-cells.png", score_threshold=0.6)
            >>> table = found.to_pandas()
            >>> len(table), list(table.columns)
            (24, ['rank', 'label', 'class_id', 'score', 'x1', 'y1', 'x2', 'y2'])
        """
        table: pandas.DataFrame = optional("pandas", "to_pandas").DataFrame(self.rows())
        return table

    def to_supervision(self) -> Any:
        """The result as the type that Roboflow's supervision has for it.

        Raises:
            FovealError: supervision is not installed, or has no such type.
        """
        raise FovealError(f"to_supervision: supervision has no type for {type(self).__name__}")

    def __eq__(self, other: object) -> bool:
        """Same type, same values, to the bit."""
        return values_equal(self, other)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash


def values_equal(one: object, other: object) -> bool:
    """Whether two dataclasses of arrays are of one type and hold the same, to the bit."""
    if type(one) is not type(other):
        return False
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def size_in_words(image_hw: tuple[int, int]) -> str:
    """End of a result's repr: the image's width x height."""
    return f"image {image_hw[1]} x {image_hw[0]} px"


def chosen_mask_format(asked: str | None, choices: Collection[str], default: str) -> str:
    """The mask format that was asked for, else the default.

    Raises:
        BadRequest: it is none of the choices; they are listed.
    """
    if asked is None:
        return default
    if not isinstance(asked, str) or asked not in choices:
        raise BadRequest(f"parameter 'mask_format': expected one of {', '.join(choices)}, got {asked!r:.60}")
    return asked


def optional(module: str, user: str) -> Any:
    """A library that only one method needs.

    Raises:
        FovealError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = "" if error.name == module else f" (it lacks {error.name!r})"
        raise FovealError(f"{user} needs {module!r}{missing}: pip install {module}") from None


def expect(condition: bool, message: str) -> None:
    """Raise BadResult unless the condition holds."""
    if not condition:
        raise BadResult(message)


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
