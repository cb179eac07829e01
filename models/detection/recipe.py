"""The recipes of object detection and instance segmentation."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from foveal.models.recipe import Recipe, Side

Level = Literal["c2", "c3", "c4", "c5"]


class DetectionRecipe(Recipe):
    """Fields of object detection. Sizes are model-input pixels; the defaults suit small backbones on CPUs."""

    task: Literal["object-detection"] = Field("object-detection", description="name of the task")
    architecture: str = Field(
        "fasterrcnn",
        description="fasterrcnn, retinanet, ssdlite, ssd; or one of torchvision's networks, whole, with weights coco",
    )
    input_hw: tuple[Side, Side] = Field((320, 416), description="letterboxed; multiples of 32")
    batch_size: int = Field(4, ge=1, description="samples a step")
    frozen_epochs: int = Field(0, ge=0, description="first epochs in which only the new layers learn")
    lr_backbone: float = Field(2e-4, ge=0, description="peak learning rate of the backbone; 0 keeps it frozen")
    warmup_epochs: float = Field(1.0, ge=0, description="linear ramp")
    clip_norm: float | None = Field(10.0, gt=0, description="largest norm of the gradient; longer ones are shortened")
    ema_decay: float | None = Field(0.995, gt=0, lt=1, description="average of the weights over steps")
    freeze_batchnorm: bool = Field(True, description="keep the backbone's BatchNorm statistics (small batches)")

    frozen_levels: int = Field(1, ge=0, le=4, description="backbone levels that are never trained, finest first")
    pyramid_levels: tuple[Level, ...] = Field(
        (), description="backbone levels that are used, without gaps up to c5; empty: the architecture's own"
    )
    pyramid_channels: int = Field(64, ge=16, multiple_of=8, description="width of every pyramid level")
    anchor_sizes_px: tuple[float, ...] = Field(
        (), description="one a level, finest first, added levels included; empty: the architecture's own"
    )
    anchor_scales: tuple[float, ...] = Field(
        (), description="factors: every level has its size times each of them; empty: the architecture's own"
    )
    anchor_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), description="height / width")
    canonical_px: float = Field(112.0, gt=0, description="box side pooled at stride 16 (FPN paper: 224)")
    proposals_before_nms: int = Field(500, ge=1, description="of the first stage, per level")
    proposals: int = Field(200, ge=1, description="of the first stage, per image, to the box head")
    sampled_boxes: int = Field(128, ge=1, description="proposals per image that the box loss sees")
    box_head_width: int = Field(512, ge=8, description="two fully connected layers; most of the parameters")
    iou_threshold: float = Field(0.5, gt=0, le=1, description="of NMS; packages take it per request")
    score_threshold: float = Field(
        0.5, ge=0, lt=1, description="a package's default where no val split finds the best F1 (train_on_val)"
    )

    flip: bool = Field(True, description="mirror half of the images left to right")
    flip_vertical: bool = Field(
        False, description="turn half of the images upside down: for images without an up (aerial, microscope)"
    )
    rotate_90: bool = Field(False, description="turn by a random multiple of 90 degrees: for images without an up")
    crop: float = Field(0.3, ge=0, le=1, description="share of images cropped (SSD's IoU crop)")
    crop_min_scale: float = Field(0.5, gt=0, le=1, description="shortest side of a crop, as a share of the image's")
    scale_jitter: float = Field(0.0, ge=0, le=1, description="share of images shown larger or smaller")
    scale_jitter_max: float = Field(2.0, gt=1, description="how much at most: factors 1 / this to this")
    rotate_deg: float = Field(
        0.0,
        ge=0,
        le=180,
        description="random rotation up to this angle; without masks, boxes grow around their corners",
    )
    shear_deg: float = Field(0.0, ge=0, le=45, description="random lean of upright lines up to this angle either way")
    perspective: float = Field(
        0.0, ge=0, lt=1, description="random tilt: corners move inwards by up to this share of half a side"
    )
    zoom_out: float = Field(0.2, ge=0, le=1, description="share of images laid on a larger, empty image")
    zoom_out_max: float = Field(1.5, gt=1, description="how much larger at most")
    brightness: float = Field(0.2, ge=0, le=1, description="random factor 1 ± this; also contrast")
    saturation: float = Field(0.2, ge=0, le=1, description="random factor 1 ± this")
    hue: float = Field(0.02, ge=0, le=0.5, description="random shift up to this share of the colour circle")
    mosaic: float = Field(0.0, ge=0, le=1, description="share of images made of four")
    plain_epochs: int = Field(5, ge=0, description="last epochs without mosaic and copy-paste")
    invert: float = Field(0.0, ge=0, le=1, description="share of images turned into their negative")
    grayscale: float = Field(0.0, ge=0, le=1, description="share of images without colour")

    stratify_by_appearance: bool = Field(
        False, description="seeded splits: stratify by kind of image (mean colour and size) too"
    )
    instance_label: str = Field("object", description="name of the one class of instance-id maps")

    UNREGULARISED: ClassVar[Mapping[str, Any]] = {
        **Recipe.UNREGULARISED,
        **dict.fromkeys(("brightness", "saturation", "hue", "invert", "grayscale"), 0.0),
        **dict.fromkeys(("rotate_deg", "shear_deg", "perspective"), 0.0),
        **dict.fromkeys(("crop", "scale_jitter", "zoom_out", "mosaic"), 0.0),
        **dict.fromkeys(("flip", "flip_vertical", "rotate_90"), False),
    }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(side % 32 for side in self.input_hw):
            raise ValueError(f"input_hw: expected multiples of 32, got {self.input_hw}")
        return self


class InstanceRecipe(DetectionRecipe):
    """Fields of instance segmentation."""

    task: Literal["instance-segmentation"] = Field(  # type: ignore[assignment]
        "instance-segmentation", description="name of the task"
    )
    architecture: str = Field("maskrcnn", description="maskrcnn, or maskrcnn_resnet50_fpn_v2 with weights coco")
    input_hw: tuple[Side, Side] = Field((448, 448), description="letterboxed; multiples of 32")
    batch_size: int = Field(2, ge=1, description="samples a step")
    ema_decay: float | None = Field(0.99, gt=0, lt=1, description="average of the weights over steps")
    pyramid_channels: int = Field(96, ge=16, multiple_of=8, description="width of every pyramid level")
    mask_head_width: int = Field(96, ge=8, description="channels of the mask head")
    mask_head_depth: int = Field(2, ge=1, le=8, description="3x3 convolutions before the mask head's upsampling")
    copy_paste: float = Field(0.0, ge=0, le=1, description="share of images with objects of another one pasted on")

    UNREGULARISED: ClassVar[Mapping[str, Any]] = {**DetectionRecipe.UNREGULARISED, "copy_paste": 0.0}
