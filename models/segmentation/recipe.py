"""The recipe of semantic segmentation."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from foveal.models.recipe import Recipe, Side


class SegmentationRecipe(Recipe):
    """Fields that only semantic segmentation has."""

    task: Literal["semantic-segmentation"] = Field("semantic-segmentation", description="name of the task")
    architecture: Literal["unet", "lraspp", "deeplabv3", "fcn"] = Field("unet", description="decoder on the backbone")
    input_hw: tuple[Side, Side] = Field((512, 512), description="height and width of the model input in px")
    resize_mode: Literal["letterbox", "stretch"] = Field("letterbox", description="resize of an image")
    ignore: str | int | None = Field(None, description="a class, by name or id, whose pixels count nowhere")
    loss: Literal["cross-entropy", "dice", "both"] = Field("both", description="both: the sum of the two")
    class_weights: bool = Field(False, description="weigh classes by 1 / sqrt(frequency) in the cross-entropy")

    crop_hw: tuple[Side, Side] | None = Field(
        None,
        description="train on parts of this size of the model input, so that detail costs no time; None: all of it",
    )
    scale_min: float = Field(0.5, gt=0, description="random zoom of the image, lowest factor; 1 is as in production")
    scale_max: float = Field(
        2.0, gt=0, description="random zoom of the image, highest factor; detail comes from the file"
    )
    flip: bool = Field(True, description="mirror half of the images left to right")
    rotate_90: bool = Field(False, description="any of the eight turns and mirrors: for images without an up")
    rotate_deg: float = Field(0.0, ge=0, le=180, description="random rotation up to this angle either way")
    shear_deg: float = Field(0.0, ge=0, le=45, description="random lean of upright lines up to this angle either way")
    perspective: float = Field(
        0.0, ge=0, lt=1, description="random tilt: corners move inwards by up to this share of half a side"
    )
    brightness: float = Field(0.3, ge=0, le=1, description="random factor 1 ± this; also contrast")
    saturation: float = Field(0.3, ge=0, le=1, description="random factor 1 ± this")
    hue: float = Field(0.05, ge=0, le=0.5, description="random shift up to this share of the colour circle")

    UNREGULARISED: ClassVar[Mapping[str, Any]] = {
        **Recipe.UNREGULARISED,
        **dict.fromkeys(("rotate_deg", "shear_deg", "perspective", "brightness", "saturation", "hue"), 0.0),
        **dict.fromkeys(("scale_min", "scale_max"), 1.0),
        **dict.fromkeys(("flip", "rotate_90"), False),
        "crop_hw": None,
    }
