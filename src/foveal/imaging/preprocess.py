"""Preprocessing (`Preprocess`) for training, evaluation, export and serving, and its inverse (`ImageTransform`).

`Preprocess` says how an image of any size becomes the uint8 model input that a graph reads; `ImageTransform` remembers
what was done to one image, so that boxes and maps come back to its original pixels. Normalisation (mean, std) happens
inside the graph, from uint8: bit-identical, and a fourth of the bytes to move.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveal.imaging.decode import Decoded
from foveal.imaging.resize import PILLOW, Interpolation, resize, resize_part

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Unit = tuple[float, float, float]
Colour = tuple[int, int, int]
Rounding = Literal["half_up", "half_even", "down"]

LETTERBOX_ONLY = ("padding", "padding_position", "common_scale")

MAX_WHOLE = 16  # times a model input's pixels: so large may an image become that is resized whole before its crop
MAX_INPUT_PIXELS = 4096 * 4096  # of a model input: bounds what a package may ask of the memory

IMAGENET_MEAN: Unit = (0.485, 0.456, 0.406)
IMAGENET_STD: Unit = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageTransform:
    """What preprocessing did to one image. Coordinates are continuous edges: pixel i spans [i, i + 1].

    model input = image * scale_xy + offset_xy (per axis); `content_hw` is the part of the model input that shows the
    image, and begins at `content_yx`.
    """

    image_hw: tuple[int, int]  # original image after EXIF
    input_hw: tuple[int, int]
    content_hw: tuple[int, int]
    scale_xy: tuple[float, float]
    offset_xy: tuple[float, float] = (0.0, 0.0)  # negative after a centre crop, positive behind padding

    @property
    def content_yx(self) -> tuple[int, int]:
        """First row and column of the model input that show the image."""
        return max(0, round(self.offset_xy[1])), max(0, round(self.offset_xy[0]))

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
    letterbox: longest side fits, the rest is padding.
    center_crop: shorter side resized to `shorter_px`, then the centre of the model input's size is cut out.

    Trained models use the defaults. The other values are what imported models were trained with: `padding_position`
    center, `rounding` half_even and `common_scale` make Ultralytics' LetterBox; `rounding` down and `common_scale`
    YOLOX's; center_crop with one of Pillow's filters torchvision's Resize and CenterCrop.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["stretch", "letterbox", "center_crop"]
    input_hw: tuple[int, int] = Field(description="height and width in pixels of what the graph reads")
    shorter_px: int | None = Field(None, description="center_crop only: length of the shorter side before the crop")
    interpolation: Interpolation = Field(
        "area",
        description="area: averages when shrinking (antialiased); bilinear: OpenCV's 2x2 taps, aliases; "
        "pillow_bilinear, pillow_bicubic: Pillow's antialiased filters, bit for bit",
    )
    reduced_decode: bool = Field(
        True, description="let JPEG decode at 1/2, 1/4 or 1/8 size when that still covers what the model input needs"
    )
    colour_managed: bool = Field(
        True,
        description="convert images with an ICC profile to sRGB; false: take their numbers as they are, as most "
        "frameworks do",
    )
    padding: Colour | None = Field(
        None, description="letterbox only: RGB 0..255 of the padding; None: round(255 * mean), about zero to the graph"
    )
    padding_position: Literal["top_left", "center"] = Field(
        "top_left", description="letterbox only: where the content is; center: padding on both sides"
    )
    rounding: Rounding = Field(
        "half_up",
        description="how whole pixels are made: letterbox, of the content's sides; center_crop with Pillow's filters, "
        "of the crop's place: down as transformers does, else half_even as torchvision",
    )
    common_scale: bool = Field(
        False,
        description="letterbox only: boxes go back by the one scale that the content was made with, before its sides "
        "were rounded; else by each side's own",
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

    @model_validator(mode="after")
    def _check_foreign(self) -> "Preprocess":
        """What only imported models have."""
        if self.mode == "stretch" and self.rounding != "half_up":
            raise ValueError("rounding: mode stretch rounds nothing")
        if self.mode != "letterbox":
            for name in LETTERBOX_ONLY:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} belongs to mode letterbox and only there; got {self.mode}")
        if self.padding is not None and not all(0 <= value <= 255 for value in self.padding):
            raise ValueError(f"padding: expected values 0..255, got {self.padding}")
        if self.reduced_decode and self.interpolation in PILLOW:
            raise ValueError(f"reduced_decode: expected false with {self.interpolation}, which reads every pixel")
        return self

    @property
    def padding_rgb(self) -> Colour:
        """Colour of the letterbox' padding."""
        if self.padding is not None:
            return self.padding
        r, g, b = (round(255 * value) for value in self.mean)
        return r, g, b

    def resized_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the whole image after the resize, before crop or padding."""
        if self.mode == "stretch":
            return self.input_hw
        height, width = image_hw
        if self.mode == "letterbox":
            scale = self._letterbox_scale(image_hw)
            return _whole(height * scale, self.rounding), _whole(width * scale, self.rounding)
        assert self.shorter_px is not None
        if self.interpolation in PILLOW:  # torchvision's Resize
            return self.shorter_px * height // min(height, width), self.shorter_px * width // min(height, width)
        scale = self.shorter_px / min(height, width)
        return _whole(height * scale, self.rounding), _whole(width * scale, self.rounding)

    def decode_target(self, image_hw: tuple[int, int]) -> tuple[int, int] | None:
        """What `image.decode` must at least deliver for an image of this size; None: all of it."""
        return self.resized_hw(image_hw) if self.reduced_decode else None

    def working_bytes(self, image_hw: tuple[int, int]) -> int:
        """Memory that resizing takes beside the decoded image and the model input, at most."""
        if self.interpolation not in PILLOW:
            return 0
        columns = max(self.resized_hw(image_hw)[1] if self.mode != "center_crop" else 0, self.input_hw[1])
        whole = MAX_WHOLE * math.prod(self.input_hw) * 3 if self.mode == "center_crop" else 0
        return math.prod(image_hw) + columns * image_hw[0] + whole  # one channel, and that after the columns' pass

    def apply(self, image: Decoded) -> tuple[UInt8Array, ImageTransform]:
        """Image -> (model input HWC uint8 RGB, transform). Geometry follows the original size, however decoded."""
        if self.mode == "center_crop":
            return self._crop(image)
        resized_hw = self.resized_hw(image.image_hw)
        content = resize(image.rgb, resized_hw, self.interpolation)
        top, left = self._content_yx(resized_hw)
        scale_xy = (resized_hw[1] / image.image_hw[1], resized_hw[0] / image.image_hw[0])
        if self.common_scale:
            scale_xy = (self._letterbox_scale(image.image_hw),) * 2
        transform = ImageTransform(image.image_hw, self.input_hw, resized_hw, scale_xy, (float(left), float(top)))
        if resized_hw == self.input_hw:
            return content, transform
        model_input = np.empty((*self.input_hw, 3), np.uint8)
        model_input[:] = self.padding_rgb
        model_input[top : top + resized_hw[0], left : left + resized_hw[1]] = content
        return model_input, transform

    def _letterbox_scale(self, image_hw: tuple[int, int]) -> float:
        return min(self.input_hw[0] / image_hw[0], self.input_hw[1] / image_hw[1])

    def _content_yx(self, resized_hw: tuple[int, int]) -> tuple[int, int]:
        """First row and column of the content; an odd pixel of padding goes to the bottom and the right."""
        if self.padding_position == "top_left":
            return 0, 0
        return (self.input_hw[0] - resized_hw[0]) // 2, (self.input_hw[1] - resized_hw[1]) // 2

    def _crop(self, image: Decoded) -> tuple[UInt8Array, ImageTransform]:
        """Cut first, in whole source pixels, then resize: a 10000 x 10 image never becomes a giant in between."""
        resized_hw, source_hw = self.resized_hw(image.image_hw), image.rgb.shape[:2]
        if self.interpolation in PILLOW:
            return self._crop_resized(image, resized_hw)
        cut = [max(1, round(c * s / r)) for c, s, r in zip(self.input_hw, source_hw, resized_hw, strict=True)]
        top, left = (source_hw[0] - cut[0]) // 2, (source_hw[1] - cut[1]) // 2
        model_input = resize(image.rgb[top : top + cut[0], left : left + cut[1]], self.input_hw, self.interpolation)
        per_source = image.image_hw[0] / source_hw[0], image.image_hw[1] / source_hw[1]  # > 1 after a reduced decode
        scale_y = self.input_hw[0] / (cut[0] * per_source[0])
        scale_x = self.input_hw[1] / (cut[1] * per_source[1])
        offset_xy = (-left * per_source[1] * scale_x, -top * per_source[0] * scale_y)
        return model_input, ImageTransform(image.image_hw, self.input_hw, self.input_hw, (scale_x, scale_y), offset_xy)

    def _crop_resized(self, image: Decoded, resized_hw: tuple[int, int]) -> tuple[UInt8Array, ImageTransform]:
        """The centre of the image as if all of it had been resized (torchvision's Resize, CenterCrop)."""
        (height, width), (rows, columns) = image.image_hw, self.input_hw
        top, left = resized_hw[0] - rows, resized_hw[1] - columns
        if self.rounding == "down":
            top, left = top // 2, left // 2
        else:
            top, left = round(top / 2), round(left / 2)
        scale_x, scale_y = resized_hw[1] / width, resized_hw[0] / height
        if math.prod(resized_hw) <= MAX_WHOLE * math.prod(self.input_hw):
            whole = resize(image.rgb, resized_hw, self.interpolation)
            model_input = np.ascontiguousarray(whole[top : top + rows, left : left + columns])
        else:  # a strip; Pillow keeps the part's edges as float32, so values differ a little
            part = (left / scale_x, top / scale_y, (left + columns) / scale_x, (top + rows) / scale_y)
            inside = (*part[:2], min(part[2], width), min(part[3], height))  # of rounding
            model_input = resize_part(image.rgb, self.input_hw, self.interpolation, inside)
        offset_xy = (float(-left), float(-top))
        return model_input, ImageTransform(image.image_hw, self.input_hw, self.input_hw, (scale_x, scale_y), offset_xy)


def _whole(side: float, rounding: Rounding) -> int:
    """Length of a side in whole pixels, at least 1."""
    if rounding == "down":
        return max(1, int(side))
    return max(1, round(side) if rounding == "half_even" else int(side + 0.5))
