"""Reference of a two-stage export: the trained network, and which detections hang on the cut of proposals.

The network keeps its K best proposals. Where the K-th and the next have equal objectness (always so on flat or very
narrow images, whose anchors all see the same), two correct programs cut between different ones. So the reference is
asked again with the doubtful proposals all in, and all out: what these answers do not share is `undecided`.

Whether one proposal suppresses another hangs on a digit too, where they overlap by just the threshold. The network in
float64, which is asked where float32 is in doubt (rounding.py), is also asked with the threshold moved both ways.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from foveal.export.detection.match import Tolerance, match
from foveal.export.networks import Array, twin
from foveal.models.detection.networks.rcnn import TwoStageDetector
from foveal.options import MAX_DETECTIONS

NAMES = {"boxes": "boxes", "scores": "scores", "labels": "class_ids", "masks": "masks"}
OVERLAP_TIE = 2e-3  # IoU of two proposals of 10 pixels whose edges are 0.01 off, which is the most that is excused
LOGIT_TIE = 1e-4  # of objectness, whose logits agree to about 1e-5 between programs


def detections(network: TwoStageDetector, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """torchvision's own post-processing under the request's thresholds, and at most 300 detections an image.

    Returns:
        The graph's outputs, and `undecided` (M,) bool: the row hangs on the cut of proposals. An undecided row with a
        negative score was not detected and might have been; everything downstream takes it for padding.
    """
    iou_threshold = float(feeds["iou_threshold"])
    answers = []
    for i, score_threshold in enumerate(feeds["score_threshold"]):
        images, content_hw = (torch.from_numpy(feeds[name][i : i + 1]) for name in ("images", "content_hw"))
        ask = _Question(network, images, content_hw, float(score_threshold), iou_threshold)
        usual, *others = (ask.with_proposals(count) for count in ask.counts())
        if next(network.parameters()).dtype == torch.float64:
            others += [ask.with_proposals(network.rpn.post_nms_top_n(), moved=by) for by in (-OVERLAP_TIE, OVERLAP_TIE)]
        answers.append(_doubted(usual, others))
    rows = {name: np.concatenate([image[name] for image in answers]) for name in answers[0]}
    lengths = [len(image["scores"]) for image in answers]
    return {**rows, "image_index": np.repeat(np.arange(len(answers)), lengths)}


@dataclass(frozen=True)
class _Question:
    network: TwoStageDetector
    images: Tensor  # (1, H, W, 3) uint8
    content_hw: Tensor  # (1, 2) float32
    score_threshold: float
    iou_threshold: float

    def with_proposals(self, count: int, *, moved: float = 0.0) -> dict[str, Array]:
        """The network's detections when it keeps so many proposals; `moved` is added to the threshold of their NMS."""
        heads = {"score_thresh": self.score_threshold, "nms_thresh": self.iou_threshold}
        rpn = self.network.rpn
        network = twin(
            self.network,
            rpn=twin(rpn, _post_nms_top_n={"testing": count}, nms_thresh=rpn.nms_thresh + moved),
            roi_heads=twin(self.network.roi_heads, **heads, detections_per_img=MAX_DETECTIONS),
        )
        with torch.inference_mode():
            found = network(self.images, self.content_hw)[0]
        return {NAMES[key]: value.numpy() for key, value in found.items()}

    def counts(self) -> Sequence[int]:
        """How many proposals the network keeps; where the cut is a tie, the same without all tied ones and with all."""
        usual = self.network.rpn.post_nms_top_n()
        objectness = self._objectness(2 * usual)
        if len(objectness) <= usual or objectness[usual - 1] - objectness[usual] > LOGIT_TIE:
            return (usual,)
        fewer = int((objectness > objectness[usual] + LOGIT_TIE).sum())
        more = int((objectness >= objectness[usual - 1] - LOGIT_TIE).sum())
        return usual, fewer, more

    def _objectness(self, count: int) -> Tensor:
        """Logits of the best `count` proposals after the first NMS, descending."""
        rpn = twin(self.network.rpn, _post_nms_top_n={"testing": count})
        probabilities: list[Tensor] = []

        def filter_proposals(*args: Any) -> tuple[list[Tensor], list[Tensor]]:
            boxes, scores = rpn.filter_proposals(*args)
            probabilities.extend(scores)
            return boxes, scores

        with torch.inference_mode():
            model_input = self.network.normalize(self.images)
            sizes = [(int(h), int(w)) for h, w in self.content_hw.tolist()]
            twin(rpn, filter_proposals=filter_proposals)(
                ImageList(model_input, sizes), self.network.backbone(model_input)
            )
        return probabilities[0].logit(eps=1e-6)


def _doubted(usual: dict[str, Array], others: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Rows of the usual answer with `undecided`, then the rows that only other answers have."""
    undecided = np.zeros(len(usual["scores"]), bool)
    answers = [usual]
    for other in others:
        found = match(usual, other, Tolerance())
        undecided[found.missing] = True
        absent = {name: value[found.extra] for name, value in other.items()}
        answers.append({**absent, "scores": -absent["scores"]})
    rows = {name: np.concatenate([answer[name] for answer in answers]) for name in usual}
    beyond = len(rows["scores"]) - len(undecided)
    return {**rows, "undecided": np.concatenate([undecided, np.ones(beyond, bool)])}
