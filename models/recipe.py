"""The recipe (`Recipe`): all that a training depends on, in one flat TOML file; `--set name=value` overrides a field.

The resolved recipe is written into the run folder, comments included, and can be given back with `--recipe`.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticUndefined

from foveal.errors import BadRecipe

READY = Path(__file__).parent / "presets"  # <task>/<size of the data set>.toml
Side = Annotated[int, Field(ge=1)]  # px


class Recipe(BaseModel):
    """What all tasks have in common; each task adds its own fields in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    task: str = Field(description="name of the task")
    architecture: str = Field(description="network of the task")
    backbone: str = Field(
        "efficientnet_lite0",
        description="backbone of the network, a name of the backbone registry; the default's weights are installed "
        "with Foveal, others' are downloaded",
    )
    weights: str = Field(
        "imagenet", description="initial weights of the backbone: imagenet, none, a state_dict file or a run folder"
    )
    weights_licence: str | None = Field(None, description="licence of a weights file; published weights know theirs")
    data_licence: str = Field("not stated", description="licence of the data set; it ends up on the package's card")
    input_hw: tuple[Side, Side] = Field((224, 224), description="height and width of the model input in px")

    group_by: str | None = Field(
        None, description="pattern of the file name; samples with equal captures (related photos) stay in one split"
    )
    group_block: int | None = Field(
        None, ge=1, description="with group_by: the capture is a number; numbers n // group_block are one group"
    )
    group_guard: int = Field(
        0, ge=0, description="with group_block: training numbers this close to a held-out number are left out"
    )
    split_file: str | None = Field(None, description="CSV with the columns name,split; instead of a seeded split")
    val_fraction: float = Field(0.15, gt=0, lt=1, description="of all samples; picks checkpoint and thresholds")
    test_fraction: float = Field(0.15, ge=0, lt=1, description="of all samples; scored once")
    train_on_val: bool = Field(
        False,
        description="train on val too, once an earlier run has chosen recipe and epochs: no split is left to pick a "
        "checkpoint, so the last epoch counts",
    )

    epochs: int = Field(20, ge=1, description="passes over the training split")
    frozen_epochs: int = Field(1, ge=0, description="first epochs in which only the head learns")
    batch_size: int = Field(32, ge=1, description="samples a step")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are averaged into one step")
    base_batch_size: int = Field(32, ge=1, description="samples a step that the two learning rates are meant for")
    lr_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none",
        description="multiply both rates by batch_size * accumulate / base_batch_size (linear: Goyal et al. 2017, for "
        "sgd) or by its root (sqrt, for the Adam family); needs warm-up",
    )
    optimizer: Literal["sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw"] = Field(
        "adamw", description="optimiser; sgd without momentum by momentum=0, with Polyak's by nesterov=false"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and rmsprop; beta1 of adam and adamw")
    nesterov: bool = Field(True, description="sgd: take the gradient where momentum leads (Nesterov 1983)")
    lr_head: float = Field(1e-3, gt=0, description="peak learning rate of the new layers")
    lr_backbone: float = Field(1e-4, ge=0, description="peak learning rate of the backbone; 0 keeps it frozen")
    weight_decay: float = Field(
        1e-4,
        ge=0,
        description="L2 on weights, decoupled in adamw; never on biases and norms; with l1: elastic net",
    )
    l1: float = Field(0.0, ge=0, description="times the sum of |weight|, added to the loss; same weights as the decay")
    schedule: Literal["constant", "step", "exponential", "linear", "cosine", "inverse-sqrt", "one-cycle"] = Field(
        "cosine", description="the learning rate after warm-up; step: a tenth at 60 % and again at 85 %"
    )
    lr_final: float = Field(0.01, gt=0, le=1, description="exponential: share of the peak rate left at the end")
    warmup_epochs: float = Field(
        0.5, ge=0, description="linear ramp of the rate, and again for the backbone once it is unfrozen"
    )
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient; longer ones are shortened")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="average of the weights over steps, used for evaluation; none: the last weights"
    )
    swa_start: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of the run after which the weights at epochs' ends are averaged, used for evaluation (SWA, "
        "Izmailov et al. 2018; keep the rate up: constant); not with ema_decay",
    )
    patience: int | None = Field(
        None, ge=1, description="early stopping: epochs without a better val metric after which the run ends"
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        "32-true", description="arithmetic of the forward pass; weights stay float32; 16-mixed needs a GPU"
    )
    init: Literal["default", "xavier", "he"] = Field(
        "default",
        description="initialisation of a backbone without weights: its authors', Xavier (Glorot, Bengio 2010) or He "
        "(He et al. 2015); heads always start near their theoretical loss",
    )
    freeze_batchnorm: bool = Field(False, description="keep the backbone's BatchNorm statistics (small batches)")
    seed: int = Field(0, ge=0, lt=2**31, description="of split, initialisation, order and augmentation")

    # fields that vary images or hold learning back -> the value that does neither; tasks add their own
    UNREGULARISED: ClassVar[Mapping[str, Any]] = {
        **dict.fromkeys(("weight_decay", "l1", "warmup_epochs"), 0.0),
        **dict.fromkeys(("ema_decay", "swa_start", "patience"), None),
        "frozen_epochs": 0,
        "lr_scaling": "none",
        "schedule": "constant",
    }

    @property
    def lr_scale(self) -> float:
        """What the large-batch rule multiplies both learning rates by."""
        share = self.batch_size * self.accumulate / self.base_batch_size
        return {"none": 1.0, "linear": share, "sqrt": math.sqrt(share)}[self.lr_scaling]

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.lr_scaling != "none" and self.warmup_epochs == 0:
            raise ValueError("lr_scaling: expected warmup_epochs above 0 with it, since large rates need a warm-up")
        if self.ema_decay is not None and self.swa_start is not None:
            raise ValueError("swa_start: expected ema_decay = none with it, since one average is evaluated")
        if self.train_on_val and self.patience is not None:
            raise ValueError("patience: expected none with train_on_val, since no val split says when to stop")
        if self.init != "default" and self.weights != "none":
            raise ValueError(f"init: expected weights = none with {self.init!r}, got weights {self.weights!r}")
        return self

    def unregularised(self) -> Self:
        """The recipe without augmentation, regularisation and schedule."""
        return self.model_copy(update=dict(self.UNREGULARISED))

    @classmethod
    def load(cls, path: Path | None = None, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe.

        Args:
            path: a TOML file with some of the fields, or the name of one of the task's presets (small, medium,
                large); None: all defaults.
            overrides: `name=value`, the value as in TOML (quotes may be left off); they win over the file.

        Raises:
            BadRecipe: unreadable file, unknown preset or field (the choices are listed), wrong type or range.
        """
        fields = _read_toml(cls._file(path)) if path is not None else {}
        for override in overrides:
            name, sign, text = override.partition("=")
            if not sign:
                raise BadRecipe(f"--set {override}: expected name=value")
            fields[name.strip()] = cls._value(name.strip(), text.strip())
        for name in fields:
            if name not in cls.model_fields:
                raise BadRecipe(f"unknown recipe field {name!r}; choices: {', '.join(sorted(cls.model_fields))}")
        return cls.of(fields)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The recipe with these fields and defaults for the others.

        Raises:
            BadRecipe: wrong type or range, or fields that do not go together.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise BadRecipe("; ".join(_problem(e) for e in error.errors())) from None

    @classmethod
    def _file(cls, path: Path) -> Path:
        if path.exists():
            return path
        folder = READY / str(cls.model_fields["task"].default)
        presets = {preset.stem: preset for preset in sorted(folder.glob("*.toml"))}
        if str(path) not in presets:
            raise BadRecipe(f"{path}: expected a TOML file or one of {', '.join(presets)}, got no such file")
        return presets[str(path)]

    @classmethod
    def _value(cls, name: str, text: str) -> Any:
        if text == "none" and name in cls.model_fields and NoneType in get_args(cls.model_fields[name].annotation):
            return None
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text  # a bare word

    def to_toml(self) -> str:
        """The whole recipe as TOML, each field under its description and default."""
        blocks = []
        for name, field in type(self).model_fields.items():
            default = "" if field.default is PydanticUndefined else f" (default {_literal(field.default)})"
            value = getattr(self, name)
            line = f"# {name} =" if value is None else f"{name} = {_literal(value)}"
            blocks.append(f"# {field.description}{default}\n{line}\n")
        return "\n".join(blocks)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRecipe(f"{path}: expected a TOML file: {error}") from None


def _literal(value: Any) -> str:
    if value is None:
        return "none"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _problem(error: Any) -> str:
    where = ".".join(map(str, error["loc"])) or "recipe"
    return f"{where}: {error['msg']}, got {str(error['input'])[:80]!r}"
