"""The core's part of the toy task: result, task, scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foveal.imaging.drawing import colour_of, draw_lines
from foveal.imaging.preprocess import ImageTransform
from foveal.metrics.base import Resampled, Scores, object_array
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance, PipelineSpec
from foveal.results import JsonObject, Result, UInt8Array
from foveal.tasks.arrow import pyarrow, struct
from foveal.tasks.base import Outputs, Task
from foveal.tasks.schemas import Entry, Schema

NAME = "measurement"


@dataclass(frozen=True)
class Measurement(Result):
    """One number for an image."""

    value: float
    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        return {"measurement": {"label": self.labels[0], "value": round(self.value, 6)}}

    def rows(self) -> list[Mapping[str, object]]:
        return [self.to_dict()["measurement"]]

    def summary(self) -> Mapping[str, float]:
        return {self.labels[0]: self.value}

    def paint(self, drawn: UInt8Array) -> None:
        draw_lines(drawn, [f"{self.labels[0]} {self.value:.3f}"], [colour_of(0)])


class MeasuredValue(Schema):
    """What was measured."""

    label: str
    value: float


class MeasurementEntry(Entry):
    """One number."""

    measurement: MeasuredValue


class MeasurementTask(Task):
    """Graph: `images` (N, H, W, 3) uint8 -> `value` (N,) float32."""

    def __init__(self) -> None:
        super().__init__(
            name=NAME,
            endpoint="measure",
            option_names=frozenset(),
            columns=("label", "value"),
            entry=MeasurementEntry,
            purpose="Measures a quantity of an image.",
            limit="It measures something in every image.",
            summary_title="sum of the values",
        )

    def decode(self, outputs: Outputs, transform: ImageTransform, spec: PipelineSpec, options: Options) -> Measurement:
        return Measurement(float(outputs["value"]), spec.labels, transform.image_hw)

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        want, have = expected["measurement"]["value"], got["measurement"]["value"]
        return [] if abs(want - have) <= tolerance.score else [f"value: expected {want}, got {have}"]

    def arrow_members(self, labels: Sequence[str], mask_format: str | None) -> dict[str, Any]:
        pa = pyarrow()
        return {"measurement": struct(label=pa.string(), value=pa.float64())}


def score(results: Sequence[Measurement], truths: Sequence[float], labels: tuple[str, ...], /, **at: Any) -> Scores:
    """1 - mean absolute error."""
    errors = [abs(result.value - truth) for result, truth in zip(results, truths, strict=True)]
    return Scores(images=len(results), values={"accuracy": 1 - float(np.mean(errors))})


def resampled(
    results: Sequence[Measurement], truths: Sequence[float], labels: tuple[str, ...], /, **at: Any
) -> Resampled:
    """The same of any draw of images."""
    right = np.array([1 - abs(result.value - truth) for result, truth in zip(results, truths, strict=True)])
    answers = object_array([result.value for result in results])
    return Resampled(len(right), lambda images: {("", "accuracy"): float(right[images].mean())}, "", right, answers)
