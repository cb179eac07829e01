"""The recipe of classification."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from foveal.models.recipe import Recipe


class ClassificationRecipe(Recipe):
    """Fields that only classification has."""

    task: Literal["classification"] = Field("classification", description="name of the task")
    architecture: Literal["pooled-linear"] = Field(
        "pooled-linear", description="backbone, average pooling, dropout, one linear layer"
    )
    resize_mode: Literal["stretch", "letterbox", "center_crop"] = Field(
        "center_crop",
        description="resize of an image of another shape; center_crop cuts 12.5 % of it off",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of pooled features dropped in training")
    stochastic_depth: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="chance that the last residual branch is skipped in training, falling linearly to 0 at the first "
        "(Huang et al. 2016); none: as the backbone has it",
    )
    loss: Literal["cross-entropy", "focal"] = Field(
        "cross-entropy", description="focal: easy samples count less (Lin et al. 2017), for rare classes"
    )
    class_weights: bool = Field(
        False, description="weigh classes by 1 / frequency in the training split, so that each counts the same"
    )
    sampling: Literal["natural", "balanced"] = Field(
        "natural",
        description="balanced: an epoch draws every class equally often, images of rare classes several times, each "
        "time varied anew; one of class_weights and this is enough",
    )
    focal_gamma: float = Field(2.0, ge=0, description="of the focal loss; 0 is cross-entropy")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over all classes")
    mixup: float = Field(
        0.0, ge=0, description="alpha of Beta(alpha, alpha): batches blended with themselves (Zhang et al. 2018); 0 off"
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        description="alpha: rectangles exchanged instead (Yun et al. 2019); with mixup, one of the two a batch",
    )

    scale_min: float = Field(
        0.6,
        gt=0,
        le=1,
        description="random crop of the image: smallest share of the area of the largest part that has the model "
        "input's shape; 1 is off",
    )
    flip: bool = Field(True, description="mirror half of the images left to right")
    rotate_deg: float = Field(10, ge=0, le=180, description="random rotation up to this angle either way")
    shear_deg: float = Field(0.0, ge=0, le=45, description="random lean of upright lines up to this angle either way")
    perspective: float = Field(
        0.0, ge=0, lt=1, description="random tilt: corners move inwards by up to this share of half a side"
    )
    policy: Literal["none", "trivial-augment", "rand-augment", "aug-mix"] = Field(
        "none",
        description="a published policy on top: TrivialAugment (Müller, Hutter 2021), RandAugment (Cubuk et al. 2020) "
        "or AugMix (Hendrycks et al. 2020), as in torchvision; with one of the first two, leave the colour fields at 0",
    )
    brightness: float = Field(0.2, ge=0, le=1, description="random factor 1 ± this; also contrast")
    saturation: float = Field(0.2, ge=0, le=1, description="random factor 1 ± this")
    hue: float = Field(0.02, ge=0, le=0.5, description="random shift up to this share of the colour circle")
    colour_pca: float = Field(
        0.0,
        ge=0,
        description="AlexNet's colour change: random shifts along the principal components of the training images' "
        "colours, of this share of their spread; 0.1 in the paper",
    )
    erase: float = Field(0.0, ge=0, le=1, description="share of images with a random rectangle blanked")
    tta: Literal["none", "flip"] = Field(
        "none",
        description="test-time augmentation: val, test and the package answer with the mean logits of an image and "
        "its mirror image, at twice the time; needs flip",
    )

    UNREGULARISED: ClassVar[Mapping[str, Any]] = {
        **Recipe.UNREGULARISED,
        **dict.fromkeys(("dropout", "label_smoothing", "mixup", "cutmix", "erase"), 0.0),
        **dict.fromkeys(("rotate_deg", "shear_deg", "perspective"), 0.0),
        "policy": "none",
        **dict.fromkeys(("brightness", "saturation", "hue", "colour_pca"), 0.0),
        "stochastic_depth": None,
        "scale_min": 1.0,
        **dict.fromkeys(("flip", "class_weights"), False),
        "sampling": "natural",
    }

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.tta == "flip" and not self.flip:
            raise ValueError("tta: expected flip = true with it, since training must have seen mirror images")
        if self.class_weights and self.sampling == "balanced":
            raise ValueError(
                "class_weights: expected false with sampling balanced, since rare classes count twice then"
            )
        return self
