"""Classification: the most likely classes of an image.

Graph: `images` (N, H, W, 3) uint8 -> `logits` (N, C) float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.imaging.drawing import colour_of, draw_lines
from foveal.imaging.preprocess import ImageTransform
from foveal.options import MASK_FORMATS, Options
from foveal.packages.manifest import GoldenTolerance, PipelineSpec
from foveal.results import (
    FloatArray,
    IntArray,
    JsonObject,
    Result,
    UInt8Array,
    chosen_mask_format,
    expect_scored,
    optional,
    size_in_words,
)
from foveal.tasks.arrow import pyarrow, scored, struct
from foveal.tasks.base import Array, Outputs, Task
from foveal.tasks.schemas import Entry, Schema, Score

DRAWN_CLASSES = 5


@dataclass(frozen=True)
class ScoredClass:
    """One class of a `Classification`.

    Attributes:
        label: its name.
        class_id: its index into the model's labels.
        score: its probability, in [0, 1].

    Example:
        >>> import foveal
        >>> next(iter(foveal.load("shapes")("examples/shapes.png"))).label
        'star'
    """

    label: str
    class_id: int
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Result):
    """The most likely classes of one image, best first: as many as `top_k` asked for.

    Iterating gives one `ScoredClass` after the other; `len` is their number.

    Attributes:
        label: the most likely label.
        score: its probability, in [0, 1].
        scores: (K,) float32, probabilities in [0, 1], descending.
        class_ids: (K,) int64, index into labels.
        labels: class id -> label, of the model.
        image_hw: (height, width) of the original image.

    Example:
        >>> import foveal
        >>> result = foveal.load("shapes")("examples/shapes.png", top_k=2)
        >>> result
        <Classification: star 0.900, heart 0.096; image 256 x 192 px>
        >>> [scored.label for scored in result]
        ['star', 'heart']
    """

    scores: FloatArray
    class_ids: IntArray
    labels: tuple[str, ...]
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        expect_scored(self.scores, self.class_ids, self.labels)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[ScoredClass]:
        """Best first."""
        for class_id, score in zip(self.class_ids.tolist(), self.scores.tolist(), strict=True):
            yield ScoredClass(self.labels[class_id], class_id, score)

    def __repr__(self) -> str:
        best = [f"{scored.label} {scored.score:.3f}" for scored, _ in zip(self, range(DRAWN_CLASSES), strict=False)]
        more = f", {len(self) - len(best)} more" if len(self) > len(best) else ""
        return f"<Classification: {', '.join(best)}{more}; {size_in_words(self.image_hw)}>"

    @property
    def label(self) -> str:
        """The most likely label."""
        return self.labels[int(self.class_ids[0])]

    @property
    def score(self) -> float:
        """Probability of the most likely label, in [0, 1]."""
        return float(self.scores[0])

    @property
    def top_score(self) -> float:
        """As `score`."""
        return self.score

    def to_dict(self, *, mask_format: str | None = None) -> JsonObject:
        """{"classes": [{"label", "class_id", "score"}, …]}, best first; see `Result.to_dict`."""
        chosen_mask_format(mask_format, MASK_FORMATS, "none")  # has no effect, but a wrong one is a mistake
        rows = zip(self.class_ids, self.scores, strict=True)
        return {
            "classes": [
                {"label": self.labels[int(i)], "class_id": int(i), "score": round(float(s), 6)} for i, s in rows
            ]
        }

    def rows(self) -> list[Mapping[str, object]]:
        """One row a class; rank counts from 1."""
        return [{"rank": rank, **row} for rank, row in enumerate(self.to_dict()["classes"], 1)]

    def summary(self) -> Mapping[str, float]:
        """The image counts for its most likely label."""
        return {self.label: 1}

    def paint(self, drawn: UInt8Array) -> None:
        """A panel of the most likely classes."""
        chosen = [int(i) for i in self.class_ids[:DRAWN_CLASSES]]
        lines = [f"{self.labels[i]} {score:.3f}" for i, score in zip(chosen, self.scores, strict=False)]
        draw_lines(drawn, lines, [colour_of(i) for i in chosen])

    def to_supervision(self) -> Any:
        """As supervision.Classifications.

        Returns:
            Its class_id (K,) and confidence (K,).

        Raises:
            FovealError: supervision is not installed.

        Example:
            >>> import foveal
            >>> foveal.load("shapes")("examples/shapes.png", top_k=2).to_supervision().class_id.tolist()
            [4, 1]
        """
        sv = optional("supervision", "to_supervision")
        return sv.Classifications(class_id=self.class_ids.copy(), confidence=self.scores.copy())


class ClassScore(Schema):
    """One class."""

    label: str
    class_id: int
    score: Score


class ClassificationEntry(Entry):
    """The most likely classes, best first."""

    classes: list[ClassScore]


class ClassificationTask(Task):
    """Logits -> softmax -> top k."""

    def __init__(self) -> None:
        super().__init__(
            name="classification",
            endpoint="classify",
            option_names=frozenset({"top_k"}),
            columns=("rank", "label", "class_id", "score"),
            entry=ClassificationEntry,
            purpose="Assigns one of {classes} to an image, with a score for each.",
            limit="It always answers with one of its classes, also for an image that shows none of them.",
            summary_title="images by most likely class",
        )

    def decode(
        self, outputs: Outputs, transform: ImageTransform, spec: PipelineSpec, options: Options
    ) -> Classification:
        """Logits (C,) -> softmax, calibrated -> top k.

        Equal scores are ordered by their logits, so that no temperature changes the first class; then by class id.
        """
        logits: Array = outputs["logits"]
        scores = softmax(logits, temperature=spec.calibration.temperature or 1.0)
        top_k = min(options.top_k or len(scores), len(scores))
        class_ids = np.lexsort((-logits, -scores))[:top_k].astype(np.int64)
        return Classification(scores[class_ids], class_ids, spec.labels, transform.image_hw)

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Scores are compared by class, so that two near-equal classes may swap places."""
        want = {row["label"]: row["score"] for row in expected["classes"]}
        have = {row["label"]: row["score"] for row in got["classes"]}
        worst = max(want, key=lambda label: abs(want[label] - have.get(label, 0.0)))
        if abs(want[worst] - have.get(worst, 0.0)) <= tolerance.score:
            return []
        return [f"score of {worst!r}: expected {want[worst]} ± {tolerance.score}, got {have.get(worst)}"]

    def arrow_members(self, labels: Sequence[str], mask_format: str | None) -> dict[str, Any]:
        """A list of scored classes."""
        return {"classes": pyarrow().list_(struct(**scored()))}


def softmax(logits: Array, *, temperature: float = 1.0) -> npt.NDArray[np.float32]:
    """Of `logits / temperature` over the last axis, in float64 inside, so that they sum to 1 to float32 accuracy."""
    shifted = np.exp((logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)) / temperature)
    scores: npt.NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return scores
