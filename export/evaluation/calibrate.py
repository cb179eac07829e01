"""Temperature scaling (`calibrate`): one number that makes scores probabilities and never changes an answer.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from foveal.export.evaluation.evaluate import evaluate, outputs_of
from foveal.inference.pipeline import Pipeline
from foveal.metrics import scoring
from foveal.models.data.dataset import Sample
from foveal.packages.manifest import Calibration

LOWEST, HIGHEST = 1 / 64, 64.0  # of the temperature: beyond them scores are 0 and 1, or all equal
HALVINGS = 50


def calibrate(trained: Pipeline, val: Sequence[Sample[int]]) -> Calibration:
    """The temperature that fits val; at least one image."""
    options = scoring(trained.spec.task).options.resolved(trained.spec.defaults)
    logits = np.stack([raw["logits"] for _, raw in outputs_of(trained, val, options)])  # (N, C)
    temperature = fit_temperature(logits, np.array([sample.truth for sample in val]))
    return Calibration(temperature=round(temperature, 6), images=len(val))


def with_error_before(calibrated: Pipeline, held_out: Sequence[Sample[int]]) -> Calibration:
    """The pipeline's own calibration, with the calibration error on held-out images that it would leave untouched."""
    calibration = calibrated.spec.calibration
    if calibration.temperature is None:
        return calibration
    plain = calibrated.spec.model_copy(update={"calibration": Calibration()})
    scores = evaluate(Pipeline(plain, calibrated.session, calibrated.provider), held_out)
    interval = scores.intervals_95.get("ece")  # none where all resamples agree: a single image
    rounded = interval and (round(interval[0], 6), round(interval[1], 6))
    return calibration.model_copy(update={"ece_before": round(scores.values["ece"], 6), "ece_before_95": rounded})


def fit_temperature(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.integer]) -> float:
    """The temperature T under which softmax(logits / T) gives the truth its smallest mean negative log-likelihood.

    In 1 / T that is a convex function, so its slope is bisected. A val split without a single mistake would ask for
    T = 0, scores of exactly 1. So one more mistake is counted than was seen: as in Platt ("Probabilistic outputs for
    support vector machines", 1999) the targets keep 1 / (N + 2) for the classes that are wrong.

    Args:
        logits: (N, C), N at least 1.
        truth: (N,) class ids.

    Returns:
        A number from 1/64 to 64; 1 when there is only one class.
    """
    count, classes = logits.shape
    if classes == 1:
        return 1.0
    targets = np.full((count, classes), 1 / (count + 2) / (classes - 1))
    targets[np.arange(count), truth] = 1 - 1 / (count + 2)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    wanted = float((targets * shifted).sum())
    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)  # of log(1 / T)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(shifted * np.exp(middle))
        slope = float(((weights * shifted).sum(axis=1) / weights.sum(axis=1)).sum()) - wanted
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))
