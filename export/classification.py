"""Export of classifiers: `images` (N, H, W, 3) uint8 -> `logits` (N, C) float32."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from foveal import synth
from foveal.export.base import ImageExporter
from foveal.export.evaluation.calibrate import calibrate
from foveal.export.networks import Array, TorchSession
from foveal.export.proof.criteria import Comparison
from foveal.export.proof.rounding import ROUNDINGS, Exact, doubled
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import Session
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import Defaults
from foveal.packages.manifest import PipelineSpec
from foveal.tasks.base import Outputs
from foveal.tasks.classification import softmax

TOLERANCE = 1e-3
MAX_DIVERGENCE = 1e-3  # of an image's largest logit; a network beyond that cannot be distinguished from a damaged one


class ClassificationExporter(ImageExporter):
    """The network reads model inputs itself, so the graph is the network as it is."""

    criterion = (
        "every logit within 0.001, and within 0.001 of the logits' standard deviation over the images, or, where the "
        f"trained model's own float32 error is larger, within {ROUNDINGS} times that error; every probability within "
        "0.001; the same first class, unless the trained model's first two are as near as the bound"
    )

    outputs = ("logits",)

    def answers(self, logits: Array) -> Mapping[str, Array]:
        """As they are."""
        return {"logits": logits}

    def exact(self, checkpoint: Checkpoint) -> Session:
        """The whole network, its normalisation included, in float64; copied when it is first asked."""
        network = cache(lambda: doubled(checkpoint.network))

        def forward(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            with torch.inference_mode():
                return {"logits": network()(torch.from_numpy(feeds["images"])).numpy()}

        return TorchSession(self.outputs, forward)

    def defaults(self, checkpoint: Checkpoint) -> Defaults:
        """Five classes, or all when there are fewer."""
        return Defaults(top_k=min(5, len(checkpoint.labels)))

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> PipelineSpec:
        """The temperature of the scores."""
        return trained.spec.model_copy(update={"calibration": calibrate(trained, val)})

    def drawings(self, checkpoint: Checkpoint) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Single shapes, one image wide and one high, so that a swapped axis shows."""
        return {
            "wide": synth.draw_one("shapes", 0, image_hw=(96, 144)).rgb,
            "high": synth.draw_one("shapes", 1, image_hw=(144, 96)).rgb,
        }

    def compare(self, expected: Sequence[Outputs], got: Sequence[Outputs], exact: Exact | None = None) -> Comparison:
        """Logits against logits.

        The bound shrinks with the spread over images: a head with small logits would hide a damaged layer behind a
        fixed 0.001. Float32 noise of a correct export is about 1e-5 of the spread; 1 % on one convolution moves 1e-2
        of it (measured on every convolution of MobileNetV2, ResNet-18 and SqueezeNet: tests/export/test_parity.py).

        It grows, image by image, where the trained network's own float32 answers diverge further than that from its
        exact ones (rounding.py says why). What a client sees does not: probabilities agree to 0.001 everywhere.
        """
        want = np.stack([outputs["logits"] for outputs in expected])  # (M, C)
        have = np.stack([outputs["logits"] for outputs in got])
        if want.shape != have.shape or not (np.isfinite(want).all() and np.isfinite(have).all()):
            return Comparison({}, (f"expected finite logits {want.shape}, got {have.shape} with NaN or infinity",))
        apart = np.abs(want - have).max(axis=1)  # (M,)
        fixed = TOLERANCE * min(1.0, float(want.std(axis=0).max()))  # spread over images, not over classes
        own = own_error(want, exact) if exact is not None and (apart > fixed).any() else 0.0
        bounds = np.maximum(fixed, ROUNDINGS * min(own, MAX_DIVERGENCE) * np.abs(want).max(axis=1))
        probable = float(np.abs(softmax(want) - softmax(have)).max())
        top_two = np.sort(want, axis=1)[:, -2:]
        clear = top_two[:, -1] - top_two[:, 0] > np.maximum(TOLERANCE, bounds)  # False throughout for a single class
        flips = int((clear & (want.argmax(axis=1) != have.argmax(axis=1))).sum())
        failures = []
        if (apart > bounds).any():
            i = int((apart - bounds).argmax())
            failures.append(f"logits: expected within {bounds[i]:.3g}, got a difference of {apart[i]:.3g}")
        if probable > TOLERANCE:
            failures.append(f"probabilities: expected within {TOLERANCE:g}, got a difference of {probable:.3g}")
        if flips:
            failures.append(f"first class: expected the same for all {len(want)} images, got {flips} that differ")
        measured = {"logits_max_abs": float(apart.max()), "logits_bound": fixed, "probability_max_abs": probable}
        if own:
            measured["logits_own_error"] = own
        return Comparison({**measured, "first_class_differs": flips}, tuple(failures))


def own_error(want: Array, exact: Exact) -> float:
    """How far the trained network's logits (M, C) diverge from its exact ones, as a share of an image's largest logit.

    The worst image speaks for all: one image's own error may be small by luck, and two programs' difference not.
    """
    precise = np.stack([exact(i)["logits"] for i in range(len(want))])  # (M, C) float64
    largest = np.abs(want).max(axis=1)
    error = np.abs(want - precise).max(axis=1)
    return float(np.divide(error, largest, out=np.zeros_like(error), where=largest > 0).max())
