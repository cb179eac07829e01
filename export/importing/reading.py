"""Readings (`Reading`): how a foreign graph wants its image and what its outputs mean; each choice is one flag."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from foveal.errors import BadRequest
from foveal.imaging.preprocess import Preprocess, Rounding, Unit
from foveal.imaging.resize import PILLOW, Interpolation

Array = npt.NDArray[Any]
Resize = Literal["letterbox", "stretch", "center-crop"]
Activation = Literal["none", "softmax", "sigmoid"]
Suppression = Literal["none", "per-class", "per-class-offset", "agnostic"]


@dataclass(frozen=True)
class Reading:
    """Everything that the file does not say and an import must know.

    The graph gets (pixel * scale - mean) / std of every channel, channels in the order `colour`; mean and std are in
    that order too. Fields are the flags of `foveal import`.
    """

    input_size: tuple[int, int]  # (height, width) of the model input
    colour: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    mean: Unit = (0.0, 0.0, 0.0)
    std: Unit = (1.0, 1.0, 1.0)
    resize: Resize = "stretch"
    shorter_side: int | None = None  # center-crop only: pixels of the shorter side before the crop
    rounding: Rounding = "half_even"  # letterbox: of the content's sides; center-crop: of the crop's place
    pad_value: int = 114  # letterbox only, like the next
    pad_position: Literal["center", "top-left"] = "center"
    interpolation: Literal["bilinear", "pillow-bilinear", "pillow-bicubic", "area"] = "bilinear"
    box_scale: Literal["own", "common"] = "common"  # letterbox only: each side's own scale, after rounding, or one
    activation: Activation = "none"
    class_offset: int = 0  # of the graph's class ids: its number for the first label
    nms: Suppression = "none"
    iou_threshold: float = 0.5

    def preprocess(self) -> Preprocess:
        """The same for the core; normalisation happens inside the graph, so mean and std only tell of it.

        Raises:
            BadRequest: values that do not go together.
        """
        divisor = 255 * self.scale
        mean, std = (self.mean, self.std) if self.colour == "rgb" else (self.mean[::-1], self.std[::-1])
        values: dict[str, Any] = {
            "mode": self.resize.replace("-", "_"),
            "input_hw": self.input_size,
            "interpolation": _interpolation(self.interpolation),
            "reduced_decode": False,  # no framework reads a JPEG at a part of its size, or an ICC profile
            "colour_managed": False,
            "mean": tuple(value / divisor for value in mean),
            "std": tuple(value / divisor for value in std),
        }
        if self.resize != "stretch":
            values["rounding"] = self.rounding
        if self.resize == "letterbox":
            values |= {
                "padding": (self.pad_value,) * 3,
                "padding_position": self.pad_position.replace("-", "_"),
                "common_scale": self.box_scale == "common",
            }
        if self.resize == "center-crop":
            values["shorter_px"] = self.shorter_side or max(self.input_size)
        try:
            return Preprocess(**values)
        except ValueError as error:
            raise BadRequest(" ".join(str(error).split())[:300]) from None

    def normalised(self, model_inputs: npt.NDArray[np.uint8]) -> Array:
        """(N, H, W, 3) uint8 RGB -> (N, H, W, 3) float32: what the graph gets, computed in NumPy."""
        values = model_inputs[..., :: 1 if self.colour == "rgb" else -1].astype(np.float32)
        if self.scale != 1:
            values = values / np.float32(1 / self.scale)
        return (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def words(self) -> dict[str, str]:
        """Flag -> value, for manifests, cards and messages."""
        return {flag_of(item.name): in_words(getattr(self, item.name)) for item in fields(self)}

    def differences(self, other: "Reading") -> str:
        """Flags that turn `other` into this one, as a command line has them."""
        changed = [item.name for item in fields(self) if getattr(self, item.name) != getattr(other, item.name)]
        given = [name for name in changed if getattr(self, name) is not None]
        return " ".join(f"{flag_of(name)} {in_words(getattr(self, name))}" for name in given)

    def changed(self, given: Mapping[str, Any]) -> "Reading":
        """With the values that a user gave; None is not given."""
        chosen = {name: value for name, value in given.items() if value is not None}
        if chosen.get("resize") == "shorter-side":
            chosen |= {"resize": "center-crop", "shorter_side": None}
        return replace(self, **chosen)


def flag_of(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"


def in_words(value: object) -> str:
    """A value as its flag takes it."""
    if isinstance(value, tuple):
        return ("x" if all(isinstance(part, int) for part in value) else ",").join(f"{part:g}" for part in value)
    if isinstance(value, float):
        return "1/255" if math.isclose(value, 1 / 255) else f"{value:g}"
    return str(value)


def _interpolation(name: str) -> Interpolation:
    found: Interpolation = name.replace("-", "_")  # type: ignore[assignment]
    assert found in PILLOW or found in ("area", "bilinear")
    return found
