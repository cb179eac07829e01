"""Leakage: images of the training split that are, perhaps re-encoded, in a held-out split too."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import DataSet, Sample
from foveal.models.data.model_inputs import make_model_input
from foveal.models.data.near_duplicates import NEAR_BITS, difference_hash
from foveal.models.diagnose.findings import Finding

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
SIDE = 32
NEAR_LEVELS = 4.0  # mean difference of 8-bit grey levels; flat drawings share a hash and still differ in this
LISTED = 5


def find_leakage(data: DataSet[Any], preprocess: Preprocess) -> Finding:
    """Near-duplicates between train and val or test."""
    train_hashes, train_greys = _fingerprints(data.splits.train, preprocess)
    pairs: list[tuple[str, str]] = []
    for split in ("val", "test"):
        samples = data.splits[split]
        if not samples:
            continue
        hashes, greys = _fingerprints(samples, preprocess)
        for sample, bits, grey in zip(samples, hashes, greys, strict=True):
            near = np.flatnonzero((train_hashes != bits).sum(1) <= NEAR_BITS)
            close = near[np.abs(train_greys[near] - grey).mean(1) <= NEAR_LEVELS]
            pairs += [(sample.name, data.splits.train[j].name) for j in close]
    held_out = len(data.splits.val) + len(data.splits.test)
    leaked = sorted({name for name, _ in pairs})
    values = {"leaked": len(leaked), "held_out": held_out, "pairs": pairs[:LISTED]}
    if not leaked:
        words = f"none of {held_out} held-out images is nearly one of training"
        return Finding(step=6, name="leak", verdict="ok", words=words, values=values)
    some = ", ".join(f"{held} is {train}" for held, train in pairs[:LISTED])
    words = f"{len(leaked)} of {held_out} held-out images are nearly images of training ({some}): scores flatter"
    return Finding(step=6, name="leak", verdict="fault", words=words, values=values)


def _fingerprints(samples: Sequence[Sample[Any]], preprocess: Preprocess) -> tuple[BoolArray, FloatArray]:
    """(N, 256) bits and (N, 32 * 32) float32 grey levels."""
    hashes, greys = [], []
    for sample in samples:
        model_input = make_model_input(sample, preprocess)
        small = cv2.resize(cv2.cvtColor(model_input, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        hashes.append(difference_hash(model_input))
        greys.append(small.ravel())
    return np.stack(hashes), np.stack(greys).astype(np.float32)
