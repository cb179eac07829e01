"""What training images are augmented from: decoded images a little larger than the model input, kept in memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from foveal.imaging.decode import Decoded, decode
from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import Sample
from foveal.models.data.model_inputs import CACHE_BYTES, made_of_all

UInt8Array = npt.NDArray[np.uint8]


class Sized(Protocol):
    """Something that knows its memory."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


S = TypeVar("S", bound=Sized)


class SampleCache(Generic[S]):
    """What `make` makes of each sample: in memory while that fits into `cache_bytes`, the others made when asked for.

    Raises:
        BadData: images that cannot be read, all of them in one message.
    """

    def __init__(
        self, samples: Sequence[Sample[Any]], make: Callable[[Sample[Any]], S], *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._samples, self._make = samples, make
        self._made: list[S] = []  # filled before any worker process forks: workers then share it
        for made in made_of_all(samples, make):
            cache_bytes -= made.nbytes
            if cache_bytes >= 0:
                self._made.append(made)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> S:
        return self._made[index] if index < len(self._made) else self._make(self._samples[index])


@dataclass(frozen=True)
class SourceImage:
    """Pixels to warp from, and the size of the file's image."""

    rgb: UInt8Array  # (H, W, 3), reduced by a power of two where detail would be lost anyway
    image_hw: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Of the pixels."""
        return self.rgb.nbytes


def source_image(sample: Sample[Any], preprocess: Preprocess, zoom: float) -> SourceImage:
    """Decode a sample's image for augmentation.

    Args:
        sample: its file is read.
        preprocess: says how many pixels production keeps.
        zoom: how much larger than in production the image may be shown: so many times its pixels are kept a side.

    Raises:
        BadImage: as `decode`. OSError: no such file.
    """

    def needed_hw(image_hw: tuple[int, int]) -> tuple[int, int]:
        height, width = preprocess.resized_hw(image_hw)
        return math.ceil(height * zoom), math.ceil(width * zoom)

    decoded = decode(sample.path.read_bytes(), target_hw=needed_hw)
    return SourceImage(halved(decoded, needed_hw(decoded.image_hw)), decoded.image_hw)


def halved(decoded: Decoded, needed_hw: tuple[int, int]) -> UInt8Array:
    """The image at 1/2, 1/4, … of its size, as far as that covers `needed_hw`: what JPEG's reduced decoding does."""
    rgb = decoded.rgb
    while rgb.shape[0] >= 2 * needed_hw[0] and rgb.shape[1] >= 2 * needed_hw[1]:
        half = (rgb.shape[1] // 2, rgb.shape[0] // 2)
        rgb = np.asarray(cv2.resize(rgb, half, interpolation=cv2.INTER_AREA), np.uint8)
    return rgb
