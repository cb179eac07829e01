"""Judgement of an image that breaks a detector's fixed bounds: what float32 itself can promise (proof/rounding.py).

The trained network is asked in float64. Its own float32 answers diverge from that by some share of a pixel, a score or
a mask's probability: two programs may differ by ROUNDINGS times that. And they decide otherwise where a decision hangs
on a digit: which proposals are kept, which of two boxes suppresses the other. A detection that only one of the two
answers has is undecided: the graph may have it or not. What both have it must have, and what neither has it must not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.export.detection.match import Match, Tolerance, Verdict, judge, match
from foveal.export.proof.rounding import ROUNDINGS
from foveal.options import Options
from foveal.tasks.base import Outputs

MAX_DIVERGENCE = Tolerance(box_px=0.01, score=2.5e-4, mask=2.5e-4)  # counted; a damaged network diverges further


@dataclass(frozen=True)
class Judgement:
    """A verdict, and how far the network itself diverges from its exact answers."""

    verdict: Verdict
    own: Tolerance


def judge_again(expected: Outputs, got: Outputs, exact: Outputs, options: Options) -> Judgement:
    """Judge one image with the network's float64 answers at hand; all three have the same options."""
    own = own_error(expected, exact)
    tolerance = grown(own)
    return Judgement(judge(doubted(expected, exact, tolerance), got, options, tolerance), own)


def own_error(expected: Outputs, exact: Outputs) -> Tolerance:
    """The largest divergence of the float32 network's detections from those of the exact one that they pair with."""
    counted = {name: ROUNDINGS * getattr(MAX_DIVERGENCE, name) for name in ("box_px", "score")}
    ours, theirs = _present(expected), _present(exact)
    found = match(ours, theirs, Tolerance(**counted))
    return Tolerance(box_px=found.box_px, score=found.score, mask=_mask_error(ours, theirs, found))


def grown(own: Tolerance) -> Tolerance:
    """The fixed bounds, or ROUNDINGS times a network's own error where that is larger."""
    fixed = Tolerance()
    bounds = {
        name: max(getattr(fixed, name), ROUNDINGS * min(getattr(own, name), getattr(MAX_DIVERGENCE, name)))
        for name in ("box_px", "score", "mask")
    }
    return Tolerance(**bounds)


def doubted(expected: Outputs, exact: Outputs, tolerance: Tolerance) -> Outputs:
    """The expected rows, `undecided` where the exact network is not sure of them; then what only that one has.

    Rows that are added have a negative score, as the reference's own undecided ones that it decided against.
    """
    ours = _present(expected)
    certain, possible = _rows(exact, ~_undecided(exact)), {**exact, "scores": np.abs(exact["scores"])}
    undecided = _undecided(ours)
    undecided[match(ours, certain, tolerance).missing] = True
    beyond = _rows(possible, match(ours, possible, tolerance).extra)
    absent = _rows(expected, expected["scores"] < 0)
    parts = (
        {**ours, "undecided": undecided},
        {**absent, "undecided": np.ones(len(absent["scores"]), bool)},
        {**beyond, "scores": -beyond["scores"], "undecided": np.ones(len(beyond["scores"]), bool)},
    )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _present(rows: Outputs) -> Outputs:
    return _rows(rows, rows["scores"] >= 0)


def _undecided(rows: Outputs) -> npt.NDArray[np.bool_]:
    return np.array(rows["undecided"]) if "undecided" in rows else np.zeros(len(rows["scores"]), bool)


def _rows(rows: Outputs, keep: npt.NDArray[Any]) -> Outputs:
    return {name: value[keep] for name, value in rows.items()}


def _mask_error(ours: Outputs, theirs: Outputs, found: Match) -> float:
    if "masks" not in ours:
        return 0.0
    left, right = found.pairs.T
    return float(np.abs(ours["masks"][left] - theirs["masks"][right]).max(initial=0))
