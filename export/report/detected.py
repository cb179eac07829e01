"""Gallery of a detector (`detected`): the worst of each kind of error as crops, truth beside answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foveal.export.report import charts, page
from foveal.export.report.panels import UInt8Array, crop
from foveal.imaging.sources import load
from foveal.metrics.coco import Kind
from foveal.metrics.detection_errors import KINDS, Judged, judge, object_confusion, pair_ious
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.results import Result
from foveal.tasks.detections import Detections

Truth = Callable[[ObjectTruth, tuple[str, ...], tuple[int, int]], Result]
SHOWN = 10  # of each kind
SIDE_PX = 210
SURE = 0.9  # quantile of the scores of correct detections, from which an error may be one of the truth
LOOSE, OTHER_CLASS, TWICE, IN_VAIN, LOOSE_AND_OTHER = KINDS[1:6]
WORDS = {
    IN_VAIN: "Found where the truth has nothing",
    OTHER_CLASS: "Found, under another class",
    LOOSE: "Found, but loosely (IoU 0.1 to 0.5)",
    TWICE: "Found twice",
    LOOSE_AND_OTHER: "Loose and under another class",
}


@dataclass(frozen=True)
class Case:
    """One error, and how it ranks."""

    index: int  # of the sample
    box_xyxy: npt.NDArray[np.float32]
    rank: float  # highest first
    words: str


def detected(
    samples: Sequence[Sample[ObjectTruth]], results: Sequence[Detections], threshold: float, truth_result: Truth
) -> list[str]:
    """Sections of a page; errors are those of the detections above the threshold."""
    kind: Kind = "bbox" if results[0].masks is None else "segm"
    truths = [sample.truth for sample in samples]
    labels = results[0].labels
    judged = [judge(r, t, threshold, kind) for r, t in zip(results, truths, strict=True)]
    names = [*labels, "nothing"]
    sections = [
        page.heading(f"Objects, at a score above {threshold:.3f}"),
        charts.confusion(names, names, object_confusion(results, truths, threshold, kind, len(labels)).tolist()),
    ]
    album = _Album(samples, results, threshold, truth_result)
    for name, words in WORDS.items():
        sections += album.section(words, _cases(judged, results, name))
    sections += album.section("Missed, the largest first", _missed(judged, truths, labels))
    if kind == "segm":
        sections += album.section("Correct, the worst outlines", _outlines(judged, results, truths))
    sections += album.section(
        "Truths to look at first",
        _doubtful(judged, results),
        "Wrong with a score as high as the best tenth of the correct ones: objects that nobody labelled, or another "
        "label than they should have.",
    )
    return sections


def _cases(judged: Sequence[Judged], results: Sequence[Detections], name: str) -> list[Case]:
    """The errors of one kind."""
    found = []
    for i, (one, result) in enumerate(zip(judged, results, strict=True)):
        for d, kind in one.kinds.items():
            if kind == name:
                label, score = result.labels[int(result.class_ids[d])], float(result.scores[d])
                found.append(Case(i, result.boxes_xyxy[d], score, f"{label} {score:.3f}"))
    return found


def _missed(judged: Sequence[Judged], truths: Sequence[ObjectTruth], labels: Sequence[str]) -> list[Case]:
    found = []
    for i, (one, truth) in enumerate(zip(judged, truths, strict=True)):
        areas = truth.areas()
        found += [Case(i, truth.boxes_xyxy[g], float(areas[g]), labels[int(truth.class_ids[g])]) for g in one.missed]
    return found


def _outlines(judged: Sequence[Judged], results: Sequence[Detections], truths: Sequence[ObjectTruth]) -> list[Case]:
    found = []
    for i, (one, result, truth) in enumerate(zip(judged, results, truths, strict=True)):
        for (d, _), iou in zip(one.pairs, pair_ious(one, result, truth), strict=True):
            found.append(Case(i, result.boxes_xyxy[d], -iou, f"mask IoU {iou:.3f}"))
    return found


def _doubtful(judged: Sequence[Judged], results: Sequence[Detections]) -> list[Case]:
    right = [float(r.scores[d]) for one, r in zip(judged, results, strict=True) for d, _ in one.pairs]
    if not right:
        return []
    sure = float(np.quantile(right, SURE))
    cases = [*_cases(judged, results, IN_VAIN), *_cases(judged, results, OTHER_CLASS)]
    return [case for case in cases if case.rank >= sure]


class _Album:
    """Draws crops; an image is read once for all its cases of a section."""

    def __init__(
        self, samples: Sequence[Sample[ObjectTruth]], results: Sequence[Detections], threshold: float, truth: Truth
    ) -> None:
        self._samples, self._results, self._threshold, self._truth = samples, results, threshold, truth

    def section(self, words: str, cases: Sequence[Case], note: str = "") -> list[str]:
        """A heading with the number of cases, and the worst of them."""
        worst = sorted(cases, key=lambda case: -case.rank)[:SHOWN]
        figures: dict[int, tuple[UInt8Array, str]] = {}
        for index in dict.fromkeys(case.index for case in worst):
            truth, answer = self._drawn(index)
            for place, case in enumerate(worst):
                if case.index == index:
                    pair = [crop(drawn, case.box_xyxy, side_px=SIDE_PX) for drawn in (truth, answer)]
                    both = np.concatenate([pair[0], np.full((len(pair[0]), 4, 3), 255, np.uint8), pair[1]], axis=1)
                    figures[place] = (both, f"{case.words} ({self._samples[index].name})")
        heading = page.heading(f"{words}: {len(cases)}")
        notes = [page.paragraph(note)] if note else []
        return [heading, *notes, page.images([figures[place] for place in sorted(figures)])]

    def _drawn(self, index: int) -> tuple[UInt8Array, UInt8Array]:
        sample, result = self._samples[index], self._results[index]
        rgb = load(sample.path).rgb
        truth = self._truth(sample.truth, result.labels, result.image_hw)
        return truth.overlay(rgb), result[result.scores > self._threshold].overlay(rgb)
