"""The export's part of the toy task: exporter."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from foveal.export.base import Array, ImageExporter
from foveal.export.proof.criteria import Comparison
from foveal.export.proof.rounding import Exact
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import Defaults
from foveal.tasks.base import Outputs

TOLERANCE = 1e-4


class MeasurementExporter(ImageExporter):
    """Graph: `images` (N, H, W, 3) uint8 -> `value` (N,) float32."""

    outputs = ("value",)
    criterion = f"every value within {TOLERANCE}"

    def defaults(self, checkpoint: Checkpoint) -> Defaults:
        return Defaults()

    def drawings(self, checkpoint: Checkpoint) -> Mapping[str, npt.NDArray[np.uint8]]:
        return {"dark": np.full((20, 30, 3), 60, np.uint8), "bright": np.full((30, 20, 3), 200, np.uint8)}

    def answers(self, logits: Array) -> Mapping[str, Array]:
        return {"value": logits}

    def compare(self, expected: Sequence[Outputs], got: Sequence[Outputs], exact: Exact | None = None) -> Comparison:
        pairs = zip(expected, got, strict=True)
        worst = max(abs(float(want["value"]) - float(have["value"])) for want, have in pairs)
        failures = () if worst <= TOLERANCE else (f"value: expected within {TOLERANCE}, got {worst}",)
        return Comparison({"value_max_abs": worst}, failures)
