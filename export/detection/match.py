"""Matching of two programs' detections of one image: what agrees, what is left over, and what explains it.

A detection here is a row of a two-stage graph's outputs: `boxes` (M, 4) model-input pixels, `scores` (M,), `class_ids`
(M,) and, for instances, `masks` (M, m, m). The expected side may say of rows that they are `undecided` (M,) bool, see
rcnn_reference.py.

Float32 sums depend on their order, so two correct programs differ in the last digits, and where a decision hangs on
such a digit (a score at the threshold, two boxes that overlap by just the threshold, two rivals with equal scores) they
may decide differently. `match` finds what is left over; `explained` says of which leftover that holds. Anything else is
an error of one of the programs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.imaging import masks
from foveal.imaging.boxes import box_iou
from foveal.options import MAX_DETECTIONS, Options
from foveal.tasks.base import Outputs

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

IOU_TIE = 1e-4  # an overlap so close to the NMS threshold may fall on either side of it


@dataclass(frozen=True)
class Tolerance:
    """How far two detections may lie apart and still be one."""

    box_px: float = 0.02  # every edge, in model-input pixels
    score: float = 1e-4
    mask: float = 1e-4  # of the cut at 0.5, in probability: a mask's pixel so near may fall on either side
    mask_iou: float = 0.999  # of the pasted masks


@dataclass(frozen=True)
class Verdict:
    """What is to be said about one image."""

    detections: int  # of the expected side
    matched: int
    explained: int  # leftovers of both sides that hang on a decision which float32 cannot make
    box_px: float  # worst edge of the matched
    score: float  # worst score of the matched
    mask_iou: float  # worst of the matched; 1 without masks
    failures: tuple[str, ...]  # what nothing explains


@dataclass(frozen=True)
class Match:
    """Which rows agree, and how well."""

    pairs: IntArray  # (P, 2) row of the expected, row of the got
    missing: IntArray  # rows of the expected without partner
    extra: IntArray  # rows of the got without partner
    box_px: float  # worst edge of the pairs
    score: float  # worst score of the pairs


def judge(expected: Outputs, got: Outputs, options: Options, tolerance: Tolerance) -> Verdict:
    """Match two programs' detections of one image under resolved options, and explain what is left over."""
    absent = expected["scores"] < 0  # undecided rows that the expected side decided against
    beyond = _rows(expected, absent)
    expected = _rows(expected, ~absent)
    found = match(expected, got, tolerance)
    missing, extra = explained(expected, got, found, options, tolerance, beyond)
    sides = (("missing", expected, found.missing[~missing]), ("extra", got, found.extra[~extra]))
    failures = [f"{kind}: {_in_words(rows, row)}" for kind, rows, left in sides for row in left]
    mask_iou = pasted_iou(expected, got, found.pairs, tolerance.mask) if "masks" in expected else np.ones(1, np.float32)
    worst = float(mask_iou.min(initial=1))
    if worst < tolerance.mask_iou:
        pair = found.pairs[mask_iou.argmin(), 0]
        failures.append(f"mask of {_in_words(expected, pair)}: expected IoU >= {tolerance.mask_iou}, got {worst:.6f}")
    hanging = int(missing.sum() + extra.sum())
    counts = (len(expected["scores"]), len(found.pairs), hanging)
    return Verdict(*counts, found.box_px, found.score, worst, tuple(failures))


def _rows(rows: Outputs, keep: npt.NDArray[Any]) -> Outputs:
    return {name: value[keep] for name, value in rows.items()}


def _in_words(rows: Outputs, row: int) -> str:
    box = ", ".join(f"{edge:.2f}" for edge in rows["boxes"][row])
    return f"class {rows['class_ids'][row]} {rows['scores'][row]:.6f} at [{box}]"


def match(expected: Outputs, got: Outputs, tolerance: Tolerance) -> Match:
    """Pair rows of equal class whose edges and scores lie within the tolerance, closest first."""
    box_px = np.abs(expected["boxes"][:, None] - got["boxes"][None]).max(axis=2, initial=0)  # (M, M')
    score = np.abs(expected["scores"][:, None] - got["scores"][None])
    apart = np.maximum(box_px / tolerance.box_px, score / tolerance.score)  # at most 1: within the tolerance
    apart[expected["class_ids"][:, None] != got["class_ids"][None]] = np.inf
    rows, columns = np.nonzero(apart <= 1)  # NaN never is
    closest = np.argsort(apart[rows, columns], kind="stable")
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[closest].tolist(), columns[closest].tolist(), strict=True):
        if row not in partner and column not in taken:
            partner[row] = column
            taken.add(column)
    pairs = np.array(sorted(partner.items()), np.int64).reshape(-1, 2)
    left, right = pairs.T
    return Match(
        pairs,
        np.setdiff1d(np.arange(len(box_px)), left),
        np.setdiff1d(np.arange(box_px.shape[1]), right),
        float(box_px[left, right].max(initial=0)),
        float(score[left, right].max(initial=0)),
    )


def explained(
    expected: Outputs, got: Outputs, found: Match, options: Options, tolerance: Tolerance, beyond: Outputs
) -> tuple[BoolArray, BoolArray]:
    """Which of `found.missing` and of `found.extra` hang on a decision that float32 cannot make.

    - cut: the score lies within the tolerance of the threshold, or of the 300th best;
    - overlap: NMS dropped it for a better box that it overlaps by the threshold, to IOU_TIE;
    - undecided: the reference says so, of a row of its own or of one of `beyond` (scores negated) that the other has;
    - rivals: it and a leftover of the other side suppress each other and have equal scores;
    - consequence: it is suppressed on the other side by a leftover that is itself explained.
    """
    score_threshold, iou_threshold = options.score_threshold, options.iou_threshold
    assert score_threshold is not None
    assert iou_threshold is not None
    sides = (_Side(expected, found.missing), _Side(got, found.extra))
    known = [side.at_a_cut(score_threshold, tolerance.score) for side in sides]
    if "undecided" in expected:
        known[0] |= expected["undecided"][found.missing]
        foreseen = match({**beyond, "scores": -beyond["scores"]}, _rows(got, found.extra), tolerance)
        known[1][foreseen.pairs[:, 1]] = True
    while True:
        before = [mask.copy() for mask in known]
        for mine, theirs in ((0, 1), (1, 0)):
            if iou_threshold < 1:  # at 1 nothing suppresses
                known[mine] |= _lost_to(sides[mine], sides[theirs], known[theirs], iou_threshold, tolerance.score)
        if all((a == b).all() for a, b in zip(before, known, strict=True)):
            return known[0], known[1]


@dataclass(frozen=True)
class _Side:
    """One program's rows, and which of them are left over."""

    rows: Outputs
    left: IntArray

    def at_a_cut(self, score_threshold: float, near: float) -> BoolArray:
        scores = self.rows["scores"]
        mine = scores[self.left]
        full = len(scores) >= MAX_DETECTIONS
        at_limit = mine - scores.min() <= near if full else np.zeros(len(mine), bool)
        cut: BoolArray = (mine - score_threshold <= near) | at_limit
        return cut


def _lost_to(mine: _Side, theirs: _Side, their_known: BoolArray, iou_threshold: float, near: float) -> BoolArray:
    """Which of my leftovers the other side suppressed in an explained way."""
    rows = {name: mine.rows[name][mine.left] for name in ("boxes", "scores", "class_ids")}
    iou = box_iou(rows["boxes"], theirs.rows["boxes"])  # (mine, all of theirs)
    lead = theirs.rows["scores"][None] - rows["scores"][:, None]  # how much better the other box is
    same = rows["class_ids"][:, None] == theirs.rows["class_ids"][None]
    leftover, excused = np.zeros((2, len(theirs.rows["scores"])), bool)
    leftover[theirs.left] = True
    excused[theirs.left] = their_known
    overlap_tie = (np.abs(iou - iou_threshold) <= IOU_TIE) & (lead >= -near)
    rivals = (iou > iou_threshold) & (np.abs(lead) <= near) & leftover
    consequence = (iou > iou_threshold) & (lead > 0) & excused
    lost: BoolArray = (same & (overlap_tie | rivals | consequence)).any(axis=1)
    return lost


def pasted_iou(expected: Outputs, got: Outputs, pairs: IntArray, near: float) -> FloatArray:
    """IoU of the pasted masks of each pair, both masks in the expected box, on a model input that holds all boxes.

    Edges are cut to whole pixels when a mask is pasted; two boxes that differ in the fifth digit may be cut to
    different ones. Boxes are proved by themselves, so here both masks lie in the same box. A pixel whose probability
    lies within `near` of the cut in both masks may fall on either side of it.
    """
    if not len(pairs):
        return np.ones(0, np.float32)
    right, bottom = np.ceil(expected["boxes"][:, 2:].max(axis=0)).astype(int)
    image_hw = (int(bottom) + 1, int(right) + 1)
    overlaps = []
    for i, j in pairs:
        box = expected["boxes"][i]
        pasted = [(side["masks"][k], box, image_hw) for side, k in ((expected, i), (got, j))]
        a, b = (masks.paste(*mask).roi > 0 for mask in pasted)
        surely_in, perhaps_in = (
            [masks.paste(*mask, threshold=masks.MASK_THRESHOLD + shift).roi > 0 for mask in pasted]
            for shift in (near, -near)
        )
        undecided = perhaps_in[0] & perhaps_in[1] & ~surely_in[0] & ~surely_in[1]
        union = np.count_nonzero(a | b)
        overlaps.append(np.count_nonzero((a & b) | ((a ^ b) & undecided)) / union if union else 1.0)
    return np.array(overlaps, np.float32)
