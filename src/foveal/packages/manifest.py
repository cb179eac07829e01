"""manifest.json: everything that is known about a model package, typed and checked."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveal.imaging.preprocess import Preprocess
from foveal.options import MAX_DETECTIONS

TaskName = Literal["classification", "semantic-segmentation", "object-detection", "instance-segmentation"]
NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Postprocess(_Frozen):
    """Defaults of the per-request options; None where an option does not apply to the task."""

    top_k: int | None = Field(None, ge=1)
    score_threshold: float | None = Field(None, ge=0, le=1)
    iou_threshold: float | None = Field(None, ge=0, le=1)
    max_detections: int | None = Field(None, ge=1, le=MAX_DETECTIONS)
    mask_format: str | None = None


class Tensor(_Frozen):
    """One input or output of the graph. A dynamic dimension is a name, a fixed one a number."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


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
    """How closely golden results must be met (CONTRACT, decision 7)."""

    score: float = 1e-3
    box_px: float = 0.5
    pixel_fraction: float = Field(0.001, description="of class-map or mask pixels that may differ")


class Calibration(_Frozen):
    """How a classifier's scores were made honest: temperature scaling (Guo et al., ICML 2017)."""

    temperature: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="logits are divided by it before the softmax; None: not fitted"
    )
    images: int = Field(0, ge=0, description="images of val that it was fitted on")
    ece_before: float | None = Field(None, description="expected calibration error on the metrics' split without it")
    ece_before_95: tuple[float, float] | None = Field(None, description="bootstrap interval of that")


class Member(_Frozen):
    """One of the packages whose mean an ensemble gives."""

    ref: str = Field(description="name@version")
    digest: str
    values: dict[str, float] = Field(description="its own figures on the images of `metrics`")


class Manifest(_Frozen):
    """The whole manifest. `schema_version` changes when a reader of the old one would go wrong."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN, max_length=64)
    version: int = Field(ge=1)
    task: TaskName
    architecture: str
    labels: tuple[str, ...] = Field(min_length=1)
    preprocess: Preprocess
    postprocess: Postprocess
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int = Field(ge=1, description="largest batch that parity was proved for")
    opset: int
    parity: Parity
    metrics: Metrics
    data: Data
    recipe: dict[str, Any]
    seed: int
    licences: Licences
    golden: dict[str, GoldenTolerance] = Field(
        default_factory=lambda: {"default": GoldenTolerance()}, description="by execution provider, else 'default'"
    )
    created_with: dict[str, str] = Field(default_factory=dict, description="package -> version")
    calibration: Calibration = Field(default_factory=Calibration, description="of scores; applied by the task")
    members: tuple[Member, ...] = Field((), description="of an ensemble; their temperatures are inside its graph")

    @model_validator(mode="after")
    def _labels_differ(self) -> "Manifest":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels: expected no label twice, got {self.labels}")
        return self
