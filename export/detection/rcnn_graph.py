"""Faster R-CNN and Mask R-CNN as one batched graph, without a branch on data.

torchvision's own forward walks image by image over lists of boxes, which no exporter can batch. Here each step works on
the whole batch: proposals that do not exist carry a negative score instead of being removed, and only after the last
NMS, where boxes become detections, is anything dropped; the mask head sees real detections only. Weights, box decoding,
pooling and the order of decisions are torchvision's.

Ren et al., Faster R-CNN, 2015 (arXiv 1506.01497); Lin et al., FPN, 2017 (1612.03144); He et al., Mask R-CNN, 2017
(1703.06870).
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from foveal.export.detection.fold import fold_batch_norm
from foveal.export.detection.nms_op import CANDIDATE_ABOVE, NOT_A_CANDIDATE, nms_keep
from foveal.models.detection.networks.rcnn import TwoStageDetector
from foveal.options import MAX_DETECTIONS

MIN_DETECTION_PX = 1e-2  # RoIHeads.postprocess_detections drops smaller boxes

Detected = tuple[Tensor, ...]  # boxes (M, 4), scores (M,), class_ids (M,), image_index (M,)[, masks (M, m, m)]


class TwoStageGraph(nn.Module):
    """images, content_hw, score_threshold, iou_threshold -> boxes, scores, class_ids, image_index[, masks].

    Args:
        network: in eval mode; it is copied, not changed.
        input_hw: the fixed model input; anchors become constants.
    """

    def __init__(self, network: TwoStageDetector, input_hw: tuple[int, int]) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval().to(memory_format=torch.contiguous_format)  # ONNX has no channels_last
        fold_batch_norm(network)
        self.normalize, self.backbone, self.heads = network.normalize, network.backbone, network.roi_heads
        self.proposer = Proposer(network.rpn, network.backbone, input_hw)

    def forward(self, images: Tensor, content_hw: Tensor, score_threshold: Tensor, iou_threshold: Tensor) -> Detected:
        """A batch of model inputs -> the detections of all of them, in rows.

        Args:
            images: (N, H, W, 3) uint8.
            content_hw: (N, 2) float32, size of the image at the model input's top left.
            score_threshold: (N,) float32; a detection's score is greater.
            iou_threshold: () float32; of two boxes of a class that overlap more, the weaker goes.

        Returns:
            boxes (M, 4) float32 model-input px inside the content, scores (M,) float32, class_ids (M,) int64 from 0,
            image_index (M,) int64 and, for Mask R-CNN, masks (M, m, m) float32 in [0, 1]; at most 300 rows an image.
        """
        features = self.backbone(self.normalize(images))
        proposals, real = self.proposer(features, content_hw)  # (N, K, 4), (N, K)
        boxes, scores = self._classify(features, proposals, content_hw)  # (N, C, K, 4), (N, C, K)
        wanted = (scores > score_threshold[:, None, None]) & _at_least(boxes, MIN_DETECTION_PX) & real[:, None]
        scores = scores.masked_fill(~wanted, NOT_A_CANDIDATE)
        keep = nms_keep(boxes.flatten(0, 1), scores.flatten(0, 1)[:, None], iou_threshold).view_as(scores)
        scores = scores.masked_fill(~keep, NOT_A_CANDIDATE)
        top, indices = _best(scores.flatten(1), MAX_DETECTIONS)  # (N, 300)
        image_index, slot = torch.nonzero(top > CANDIDATE_ABOVE).unbind(1)  # (M,): rows from here on
        flat = indices[image_index, slot]  # position in (C, K)
        detected = boxes.flatten(1, 2)[image_index, flat]
        class_ids = flat // scores.shape[2]
        rows = (detected, top[image_index, slot], class_ids, image_index)
        return rows if not self.heads.has_mask() else (*rows, self._masks(features, detected, class_ids, image_index))

    def _classify(self, features: dict[str, Tensor], proposals: Tensor, content_hw: Tensor) -> tuple[Tensor, Tensor]:
        """Proposals (N, K, 4) -> a box and a score for each class, background left out: (N, C, K, 4), (N, C, K)."""
        batch, count = proposals.shape[:2]
        image_index = torch.arange(batch, dtype=proposals.dtype)[:, None, None].expand(-1, count, 1)
        rois = torch.cat((image_index, proposals), 2).flatten(0, 1)  # (N*K, 5)
        pooled = self.heads.box_roi_pool.pool_rois(features, rois)
        logits, offsets = self.heads.box_predictor(self.heads.box_head(pooled))
        scores = F.softmax(logits, -1).view(batch, count, -1)  # (N, K, 1 + C)
        boxes = self.heads.box_coder.decode_single(offsets, rois[:, 1:]).view(batch, count, -1, 4)  # (N, K, 1 + C, 4)
        boxes = _clip_to_content(boxes, content_hw)
        return boxes[:, :, 1:].transpose(1, 2), scores[:, :, 1:].transpose(1, 2)

    def _masks(self, features: dict[str, Tensor], boxes: Tensor, class_ids: Tensor, image_index: Tensor) -> Tensor:
        """Soft masks (M, m, m) of the rows' own classes."""
        rois = torch.cat((image_index[:, None].to(boxes.dtype), boxes), 1)  # (M, 5)
        pooled = self.heads.mask_roi_pool.pool_rois(features, rois)
        logits: Tensor = self.heads.mask_predictor(self.heads.mask_head(pooled))  # (M, 1 + C, m, m)
        own = (class_ids + 1)[:, None, None, None].expand(-1, 1, *logits.shape[2:])
        return logits.gather(1, own)[:, 0].sigmoid()


class Proposer(nn.Module):
    """The region proposal network: features -> the K best boxes an image, whatever they show.

    Boxes compete by logit where torchvision takes the sigmoid: the same order, but for the ties that float32 makes of
    all confident boxes (1 - 6e-8 is its largest value below 1), and which two libraries break differently.
    """

    anchors: Tensor
    level_mask: Tensor
    iou_threshold: Tensor

    def __init__(self, rpn: RegionProposalNetwork, backbone: nn.Module, input_hw: tuple[int, int]) -> None:
        super().__init__()
        blank = torch.zeros(1, 3, *input_hw)
        with torch.no_grad():
            maps = list(backbone(blank).values())
        self.head, self.coder = rpn.head, rpn.box_coder
        self.register_buffer("anchors", rpn.anchor_generator(ImageList(blank, [input_hw]), maps)[0])
        counts = zip(maps, rpn.anchor_generator.num_anchors_per_location(), strict=True)
        self.level_sizes = [level.shape[2] * level.shape[3] * per_cell for level, per_cell in counts]
        self.per_level, self.in_all = rpn.pre_nms_top_n(), rpn.post_nms_top_n()
        self.register_buffer("level_mask", _level_mask([min(self.per_level, size) for size in self.level_sizes]))
        self.register_buffer("iou_threshold", torch.tensor(rpn.nms_thresh))
        self.min_side_px = rpn.min_size
        assert rpn.score_thresh == 0, "every proposal takes part"

    def forward(self, features: dict[str, Tensor], content_hw: Tensor) -> tuple[Tensor, Tensor]:
        """Proposals (N, K, 4) by descending objectness, and which of them are real (N, K)."""
        objectness, offsets = self.head(list(features.values()))
        per_level = zip(objectness, offsets, torch.split(self.anchors, self.level_sizes), strict=True)
        levels = [self._best_of_level(*level) for level in per_level]
        logits, offsets, anchors = (torch.cat(parts, 1) for parts in zip(*levels, strict=True))
        boxes = _clip_to_content(_decode(self.coder, offsets, anchors), content_hw)
        logits = logits.masked_fill(~_at_least(boxes, self.min_side_px), NOT_A_CANDIDATE)
        one_level = logits[:, None].masked_fill(~self.level_mask, NOT_A_CANDIDATE)  # (N, levels, candidates)
        keep = nms_keep(boxes, one_level, self.iou_threshold).any(1)
        logits, indices = _best(logits.masked_fill(~keep, NOT_A_CANDIDATE), self.in_all)
        return _pick(boxes, indices), logits > CANDIDATE_ABOVE

    def _best_of_level(self, objectness: Tensor, offsets: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One level (N, A, h, w), (N, 4A, h, w), (h*w*A, 4) -> its best k: logits (N, k), offsets, anchors."""
        logits = objectness.permute(0, 2, 3, 1).flatten(1)  # (N, h*w*A), as the anchors are ordered
        offsets = offsets.view(offsets.shape[0], -1, 4, *offsets.shape[2:]).permute(0, 3, 4, 1, 2).flatten(1, 3)
        logits, indices = _best(logits, self.per_level)
        return logits, _pick(offsets, indices), anchors[indices]


def _level_mask(sizes: list[int]) -> Tensor:
    """(levels, sum of sizes) bool: which of the concatenated candidates belong to a level."""
    levels = torch.arange(len(sizes))
    return torch.repeat_interleave(levels, torch.tensor(sizes)) == levels[:, None]


def _decode(coder: BoxCoder, offsets: Tensor, anchors: Tensor) -> Tensor:
    """Offsets (N, K, 4) from anchors (N, K, 4) -> boxes (N, K, 4) xyxy: torchvision's own arithmetic."""
    flat: Tensor = coder.decode_single(offsets.flatten(0, 1), anchors.flatten(0, 1))
    return flat.view_as(offsets)


def _clip_to_content(boxes: Tensor, content_hw: Tensor) -> Tensor:
    """Clip boxes (N, ..., 4) to the image on each model input; content_hw is (N, 2) float32."""
    per_image = content_hw.view(-1, *[1] * (boxes.dim() - 2), 2)
    height, width = per_image.unbind(-1)
    x1, y1, x2, y2 = boxes.clamp(min=0.0).unbind(-1)
    edges = (torch.minimum(x1, width), torch.minimum(y1, height), torch.minimum(x2, width), torch.minimum(y2, height))
    return torch.stack(edges, -1)


def _at_least(boxes: Tensor, side_px: float) -> Tensor:
    """(…, 4) -> (…) bool: are both sides at least so long? As torchvision.ops.remove_small_boxes asks."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return (sides[..., 0] >= side_px) & (sides[..., 1] >= side_px)


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of (N, K), or all where there are fewer: values and indices, descending."""
    top = scores.topk(min(count, scores.shape[1]), dim=1)
    return top.values, top.indices


def _pick(rows: Tensor, indices: Tensor) -> Tensor:
    """rows (N, K, 4) at indices (N, k) -> (N, k, 4)."""
    return rows.gather(1, indices[..., None].expand(-1, -1, rows.shape[-1]))
