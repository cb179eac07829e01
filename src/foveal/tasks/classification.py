"""Classification: logits -> the likeliest classes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from foveal.imaging.preprocess import ImageTransform
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance, Manifest
from foveal.results import Classification, Result
from foveal.tasks.base import Array, JsonObject, Outputs, Prepared, split_rows, stack_inputs


class ClassificationTask:
    """Graph: `images` (N, H, W, 3) uint8 -> `logits` (N, C) float32."""

    name = "classification"
    endpoint = "classify"
    option_names = frozenset({"top_k"})
    csv_columns: tuple[str, ...] = ("rank", "label", "class_id", "score")

    def batch_key(self, options: Options) -> object:
        """Any two requests may share a batch."""
        return None

    def feeds(self, batch: Sequence[Prepared], options: Sequence[Options], manifest: Manifest) -> dict[str, Array]:
        """Graph inputs for N images."""
        return {"images": stack_inputs(batch)}

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """Batched outputs -> one mapping an image."""
        return split_rows(outputs, count)

    def decode(
        self, outputs: Outputs, transform: ImageTransform, manifest: Manifest, options: Options
    ) -> Classification:
        """Logits (C,) -> softmax, calibrated -> top k.

        Equal scores are ordered by their logits, so that no temperature changes the first class; then by class id.
        """
        logits: Array = outputs["logits"]
        scores = softmax(logits, temperature=manifest.calibration.temperature or 1.0)
        top_k = min(options.top_k or len(scores), len(scores))
        class_ids = np.lexsort((-logits, -scores))[:top_k].astype(np.int64)
        return Classification(scores[class_ids], class_ids, manifest.labels, transform.image_hw)

    def render(self, result: Result, options: Options) -> JsonObject:
        """{"classes": [{"label", "class_id", "score"}, …]}, best first."""
        assert isinstance(result, Classification)
        rows = zip(result.class_ids, result.scores, strict=True)
        return {
            "classes": [
                {"label": result.labels[int(i)], "class_id": int(i), "score": round(float(s), 6)} for i, s in rows
            ]
        }

    def csv_rows(self, rendered: JsonObject) -> Iterable[Mapping[str, object]]:
        """One row a class; rank counts from 1."""
        return ({"rank": rank, **row} for rank, row in enumerate(rendered["classes"], 1))

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Scores are compared by class, so that two near-equal classes may swap places."""
        want = {row["label"]: row["score"] for row in expected["classes"]}
        have = {row["label"]: row["score"] for row in got["classes"]}
        worst = max(want, key=lambda label: abs(want[label] - have.get(label, 0.0)))
        if abs(want[worst] - have.get(worst, 0.0)) <= tolerance.score:
            return []
        return [f"score of {worst!r}: expected {want[worst]} ± {tolerance.score}, got {have.get(worst)}"]


def softmax(logits: Array, *, temperature: float = 1.0) -> npt.NDArray[np.float32]:
    """Of `logits / temperature` over the last axis, in float64 inside, so that they sum to 1 to float32 accuracy."""
    shifted = np.exp((logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)) / temperature)
    scores: npt.NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return scores
