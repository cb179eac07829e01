"""Preprocessing (`Preprocess`) for training, evaluation, export and serving, and its inverse (`ImageTransform`).

`Preprocess` says how an image of any size becomes the uint8 model input that a graph reads; `ImageTransform` remembers
what was done to one image, so that boxes and maps come back to its original pixels. Normalisation (mean, std) happens
inside the graph, from uint8: bit-identical, and a fourth of the bytes to move.
"""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveal.imaging.decode import Decoded

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Unit = tuple[float, float, float]

MAX_INPUT_PIXELS = 4096 * 4096  # of a model input: bounds what a package may ask of the memory

IMAGENET_MEAN: Unit = (0.485, 0.456, 0.406)
IMAGENET_STD: Unit = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageTransform:
    """What preprocessing did to one image. Coordinates are continuous edges: pixel i spans [i, i + 1].

    model input = image * scale_xy + offset_xy (per axis); `content_hw` is the part of the model input that shows the
    image, starting at the top left when nothing was cropped (offset 0).
    """

    image_hw: tuple[int, int]  # original image after EXIF
    input_hw: tuple[int, int]
    content_hw: tuple[int, int]
    scale_xy: tuple[float, float]
    offset_xy: tuple[float, float] = (0.0, 0.0)  # negative after a centre crop

    def to_input(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Boxes (..., 4) in original pixels -> model-input pixels, float32; not clipped."""
        return (boxes_xyxy * self._scale4() + self._offset4()).astype(np.float32)

    def to_image(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Boxes (..., 4) in model-input pixels -> original pixels, float32, clipped to the image."""
        boxes = (boxes_xyxy - self._offset4()) / self._scale4()
        height, width = self.image_hw
        return np.clip(boxes, 0.0, np.array([width, height, width, height])).astype(np.float32)

    def _scale4(self) -> npt.NDArray[np.float64]:
        return np.array(self.scale_xy * 2, np.float64)

    def _offset4(self) -> npt.NDArray[np.float64]:
        return np.array(self.offset_xy * 2, np.float64)


class Preprocess(BaseModel):
    """How an image becomes a model input. Frozen and serialisable: it travels in every checkpoint and manifest.

    stretch: both sides resized to the model input, aspect ratio not kept.
    letterbox: longest side fits, content at the top left, padding of colour round(255 * mean).
    center_crop: shorter side resized to `shorter_px`, then the centre of the model input's size is cut out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["stretch", "letterbox", "center_crop"]
    input_hw: tuple[int, int] = Field(description="height and width in pixels of what the graph reads")
    shorter_px: int | None = Field(None, description="center_crop only: length of the shorter side before the crop")
    interpolation: Literal["area", "bilinear"] = Field(
        "area", description="area: averages when shrinking (antialiased); bilinear: 2x2 taps, aliases"
    )
    reduced_decode: bool = Field(
        True, description="let JPEG decode at 1/2, 1/4 or 1/8 size when that still covers what the model input needs"
    )
    mean: Unit = Field(IMAGENET_MEAN, description="RGB, in [0, 1]; subtracted inside the graph")
    std: Unit = Field(IMAGENET_STD, description="RGB, in [0, 1]; divided by inside the graph")

    @model_validator(mode="after")
    def _check(self) -> "Preprocess":
        if min(self.input_hw) < 1:
            raise ValueError(f"input_hw: expected sides of at least 1 px, got {self.input_hw}")
        if math.prod(self.input_hw) > MAX_INPUT_PIXELS:
            raise ValueError(f"input_hw: expected at most {MAX_INPUT_PIXELS} pixels, got {self.input_hw}")
        if (self.mode == "center_crop") != (self.shorter_px is not None):
            raise ValueError(f"shorter_px belongs to mode center_crop and only there; got {self.mode}")
        if self.shorter_px is not None and self.shorter_px < max(self.input_hw):
            raise ValueError(f"shorter_px: expected at least the model input's longer side {max(self.input_hw)}")
        if min(self.std) <= 0:
            raise ValueError(f"std: expected positive values, got {self.std}")
        return self

    @property
    def padding_rgb(self) -> tuple[int, int, int]:
        """Colour of the letterbox' padding: the mean, so that padding is about zero after normalising."""
        r, g, b = (round(255 * value) for value in self.mean)
        return r, g, b

    def resized_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the whole image after the resize, before crop or padding."""
        if self.mode == "stretch":
            return self.input_hw
        height, width = image_hw
        if self.mode == "letterbox":
            scale = min(self.input_hw[0] / height, self.input_hw[1] / width)
        else:
            assert self.shorter_px is not None
            scale = self.shorter_px / min(height, width)
        return _scaled(height, scale), _scaled(width, scale)

    def decode_target(self, image_hw: tuple[int, int]) -> tuple[int, int] | None:
        """What `image.decode` must at least deliver for an image of this size; None: all of it."""
        return self.resized_hw(image_hw) if self.reduced_decode else None

    def apply(self, image: Decoded) -> tuple[UInt8Array, ImageTransform]:
        """Image -> (model input HWC uint8 RGB, transform). Geometry follows the original size, however decoded."""
        if self.mode == "center_crop":
            return self._crop(image)
        resized_hw = self.resized_hw(image.image_hw)
        content = resize(image.rgb, resized_hw, self.interpolation)
        scale_xy = (resized_hw[1] / image.image_hw[1], resized_hw[0] / image.image_hw[0])
        transform = ImageTransform(image.image_hw, self.input_hw, resized_hw, scale_xy)
        if resized_hw == self.input_hw:
            return content, transform
        model_input = np.empty((*self.input_hw, 3), np.uint8)
        model_input[:] = self.padding_rgb
        model_input[: resized_hw[0], : resized_hw[1]] = content
        return model_input, transform

    def _crop(self, image: Decoded) -> tuple[UInt8Array, ImageTransform]:
        """Cut first, in whole source pixels, then resize: a 10000 x 10 image never becomes a giant in between."""
        resized_hw, source_hw = self.resized_hw(image.image_hw), image.rgb.shape[:2]
        cut = [max(1, round(c * s / r)) for c, s, r in zip(self.input_hw, source_hw, resized_hw, strict=True)]
        top, left = (source_hw[0] - cut[0]) // 2, (source_hw[1] - cut[1]) // 2
        model_input = resize(image.rgb[top : top + cut[0], left : left + cut[1]], self.input_hw, self.interpolation)
        per_source = image.image_hw[0] / source_hw[0], image.image_hw[1] / source_hw[1]  # > 1 after a reduced decode
        scale_y = self.input_hw[0] / (cut[0] * per_source[0])
        scale_x = self.input_hw[1] / (cut[1] * per_source[1])
        offset_xy = (-left * per_source[1] * scale_x, -top * per_source[0] * scale_y)
        return model_input, ImageTransform(image.image_hw, self.input_hw, self.input_hw, (scale_x, scale_y), offset_xy)


def resize(rgb: UInt8Array, size_hw: tuple[int, int], interpolation: Literal["area", "bilinear"]) -> UInt8Array:
    """Resize HWC uint8. `area`: axes that shrink are averaged, then axes that grow are interpolated linearly.

    OpenCV's INTER_AREA falls back to bilinear, aliasing, as soon as one axis grows: hence the two steps.
    """
    height, width = rgb.shape[:2]
    if interpolation == "area":
        small_hw = (min(height, size_hw[0]), min(width, size_hw[1]))
        if small_hw != (height, width):
            rgb = cv2.resize(rgb, small_hw[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        height, width = small_hw
    if (height, width) != tuple(size_hw):
        rgb = cv2.resize(rgb, size_hw[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return rgb


def _scaled(side: int, scale: float) -> int:
    return max(1, int(side * scale + 0.5))
