"""manifest.json: everything that is known about a model package, typed and checked."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveal.imaging.preprocess import Preprocess
from foveal.options import Defaults

NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
MAX_NAME = 64


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Tensor(_Frozen):
    """One input or output of the graph. A dynamic dimension is a name, a fixed one a number."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Calibration(_Frozen):
    """Calibration of a classifier's scores: temperature scaling (Guo et al., ICML 2017)."""

    temperature: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="logits are divided by it before the softmax; None: not fitted"
    )
    images: int = Field(0, ge=0, description="images of val that it was fitted on")
    ece_before: float | None = Field(None, description="expected calibration error on the metrics' split without it")
    ece_before_95: tuple[float, float] | None = Field(None, description="bootstrap interval of that")


class PipelineSpec(_Frozen):
    """All that a prediction pipeline needs to know about a model; the graph itself is not part of it.

    Export builds one before there is a graph (`outputs` is empty then), and every manifest contains one.
    """

    task: str = Field(description="name of the task: a key of foveal.tasks.TASKS")
    labels: tuple[str, ...] = Field(min_length=1, description="class id -> label")
    preprocess: Preprocess
    defaults: Defaults = Field(description="of the per-request options")
    inputs: tuple[Tensor, ...] = Field(min_length=1, description="what the graph reads")
    outputs: tuple[Tensor, ...] = Field((), description="what the graph returns")
    max_batch: int = Field(1, ge=1, le=4096, description="largest batch that parity was proved for")
    nms: Literal["none", "per_class", "per_class_offset", "agnostic"] = Field(
        "per_class",
        description="one-stage detectors only: whether overlapping objects are suppressed after the graph, and whether "
        "those of different classes suppress each other; offset: boxes are moved apart by class in float32, which "
        "rounds them, as Ultralytics does",
    )
    calibration: Calibration = Field(default_factory=Calibration, description="of scores; applied by the task")

    @model_validator(mode="after")
    def _labels_differ(self) -> "PipelineSpec":
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels: expected no label twice, got {', '.join(map(repr, twice))} more than once")
        if unknown := [label for label in self.defaults.classes or () if label not in self.labels]:
            raise ValueError(f"defaults.classes: expected some of the labels, got {', '.join(map(repr, unknown))}")
        return self


class Parity(_Frozen):
    """The proof that the graph does what the trained model did, as measured when the package was built."""

    reference: str = Field(description="what ran beside the graph, e.g. 'torch 2.15.0 eager'")
    images: int = Field(ge=1, description="images compared")
    batch_sizes: tuple[int, ...]
    criterion: str = Field(description="what had to hold, in words and numbers")
    measured: dict[str, float] = Field(description="worst differences found, by name")


class Metrics(_Frozen):
    """Figures on held-out data, THROUGH the package (the same code scored the checkpoint before)."""

    split: str
    images: int = Field(ge=0)
    values: dict[str, float]
    intervals_95: dict[str, tuple[float, float]] = Field(default_factory=dict)
    checkpoint_values: dict[str, float] = Field(default_factory=dict, description="the same, of the torch checkpoint")
    per_class: dict[str, dict[str, float]] = Field(default_factory=dict)


class Data(_Frozen):
    """What the model was trained on."""

    name: str
    layout: str
    fingerprint: str = Field(description="sha256 over names, bytes and labels of every sample")
    images: dict[str, int] = Field(description="split -> count")


class Licences(_Frozen):
    """Where weights and data came from, and what may be done with them."""

    data: str
    weights: str


class GoldenTolerance(_Frozen):
    """How closely golden results must be met on one execution provider. Bounded: a wide one would prove nothing."""

    score: float = Field(1e-3, ge=0, le=0.1)
    box_px: float = Field(0.5, ge=0, le=16)
    pixel_fraction: float = Field(0.001, ge=0, le=0.1, description="of class-map or mask pixels that may differ")


class Member(_Frozen):
    """One of the packages whose mean an ensemble gives."""

    ref: str = Field(description="name@version")
    digest: str
    values: dict[str, float] = Field(description="its own figures on the images of `metrics`")


class Edited(_Frozen):
    """What a package was made from by `foveal package set`: the same graph under other defaults or names."""

    ref: str = Field(description="name@version")
    digest: str
    changes: dict[str, str] = Field(description="what was changed -> how, in words; earlier edits included")


class Reference(_Frozen):
    """The answers of a model's own framework, which the package reproduced from the image files."""

    framework: str = Field(description="what made them, e.g. 'ultralytics 8.3.0'")
    digest: str = Field(description="sha256 of the file of answers")
    images: int = Field(ge=1, description="images compared")
    criterion: str = Field(description="what had to hold, in words and numbers")
    measured: dict[str, float] = Field(description="what was found, by name")


class Imported(_Frozen):
    """Where an imported model came from, and how its file is read."""

    family: str = Field(description="one of `foveal import --as`")
    source: str = Field(description="name of the file")
    source_sha256: str
    reading: dict[str, str] = Field(description="flag of `foveal import` -> value; what was given and what was found")
    reference: Reference | None = Field(None, description="None: nobody proved that it answers as its framework does")
    notes: tuple[str, ...] = Field((), description="what was assumed, in words")


class Manifest(_Frozen):
    """The whole manifest. `schema_version` changes when a reader of the old one would go wrong."""

    schema_version: Literal[2] = 2
    name: str = Field(pattern=NAME_PATTERN, max_length=MAX_NAME)
    version: int = Field(ge=1)
    architecture: str
    pipeline: PipelineSpec
    opset: int
    parity: Parity
    metrics: Metrics | None = Field(None, description="None: of an imported model, not measured")
    data: Data | None = Field(None, description="None: of an imported model, not known")
    recipe: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    licences: Licences
    golden: dict[str, GoldenTolerance] = Field(
        default_factory=lambda: {"default": GoldenTolerance()}, description="by execution provider, else 'default'"
    )
    created_with: dict[str, str] = Field(default_factory=dict, description="package -> version")
    members: tuple[Member, ...] = Field((), description="of an ensemble; their temperatures are inside its graph")
    examples: tuple[str, ...] = Field((), description="golden images that show what the model is for, by name")
    edited: Edited | None = Field(None, description="where it came from, when it is another package edited")
    imported: Imported | None = Field(None, description="where it came from, when Foveal did not train it")

    @model_validator(mode="after")
    def _is_known(self) -> "Manifest":
        for name in ("metrics", "data", "seed"):
            if self.imported is None and getattr(self, name) is None:
                raise ValueError(f"{name}: expected it of a model that was not imported")
        return self

    @model_validator(mode="after")
    def _has_outputs(self) -> "Manifest":
        if not self.pipeline.outputs:
            raise ValueError("pipeline.outputs: expected what the graph returns, got none")
        return self

    @model_validator(mode="after")
    def _has_default_tolerance(self) -> "Manifest":
        if "default" not in self.golden:
            raise ValueError("golden: expected a member 'default', got " + (", ".join(sorted(self.golden)) or "none"))
        return self

    @property
    def ref(self) -> str:
        """name@version."""
        return f"{self.name}@{self.version}"

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.pipeline.task

    @property
    def labels(self) -> tuple[str, ...]:
        """Class id -> label."""
        return self.pipeline.labels

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the model input."""
        return self.pipeline.preprocess

    def golden_tolerance(self, provider: str) -> GoldenTolerance:
        """By how much golden results may differ on an execution provider."""
        return self.golden.get(provider, self.golden["default"])
