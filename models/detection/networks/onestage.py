"""One-stage detectors: RetinaNet on a pyramid, SSD and SSDLite on shrinking maps, fed with Foveal's model input.

One network answers for every anchor at once. RetinaNet (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017,
https://arxiv.org/abs/1708.02002) makes that work among a hundred thousand background anchors with a loss that hardly
counts easy ones; boxes learn the generalised IoU itself (Rezatofighi et al., CVPR 2019). SSD (Liu et al., ECCV 2016,
https://arxiv.org/abs/1512.02325) takes the three hardest background anchors for each object; SSDLite (MobileNetV2's
paper, section 6.2) is SSD with depthwise-separable heads. Heads, losses and matching are torchvision's.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead
from torchvision.models.detection.ssd import SSD, SSDHead
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import Conv2dNormActivation, batched_nms, box_iou

from foveal.models.backbones import MultiScale
from foveal.models.backbones.normalization import Normalize
from foveal.models.detection.anchors import MAX_LOG_STRETCH
from foveal.models.detection.networks.rcnn import Prediction, Target

SSD_CANDIDATES = 1000  # before NMS, of all maps and classes together (torchvision: 400 of each class)
EXTRA_CHANNELS = (512, 256, 256, 128)  # of the maps that SSD adds behind the backbone, each of half the size


class Maps(Protocol):
    """Something that makes the feature maps: a Pyramid or SSDMaps."""

    out_channels: int

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Maps by name, finest first."""
        ...


class OneStageDetector(nn.Module):
    """RetinaNet, SSD or SSDLite.

    forward(images, content_hw[, targets]) takes and returns what TwoStageDetector's does, without masks.
    `candidates` is the part of it that an exported graph computes: the K best (anchor, class) pairs of each image.

    Args:
        normalize: of the backbone.
        detector: torchvision's RetinaNet or SSD, whose backbone, head, matcher and loss are used; its transform and
            post-processing are not.
        input_hw: of every image; fixes the anchors.
        per_level: candidates are the best of each level (RetinaNet) instead of all levels together (SSD).
    """

    new_layers = ""  # pattern of the layers without weights to start from; empty: all but `backbone.body`
    anchors: Tensor

    def __init__(
        self, normalize: Normalize, detector: RetinaNet | SSD, input_hw: tuple[int, int], *, per_level: bool
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.detector = detector
        self.softmax = isinstance(detector, SSD)  # over background and classes; RetinaNet: a sigmoid a class
        counts, anchors = _lay_anchors(detector, input_hw)
        self.register_buffer("anchors", anchors, persistent=False)  # (A, 4) model-input pixels
        ends = [sum(counts[:i]) for i in range(len(counts) + 1)]
        self.ranges = list(pairwise(ends)) if per_level else [(0, ends[-1])]

    @property
    def backbone(self) -> nn.Module:
        """What makes the maps; its `body` came with weights."""
        backbone: nn.Module = self.detector.backbone
        return backbone

    def forward(
        self, images: Tensor, content_hw: Tensor, targets: Sequence[Target] | None = None
    ) -> dict[str, Tensor] | list[Prediction]:
        """Losses in training, detections in evaluation."""
        if self.training:
            assert targets is not None
            return self._losses(self._head(images), list(targets))
        boxes, scores, class_ids = self.candidates(images, content_hw)
        return [self._suppress(*one) for one in zip(boxes, scores, class_ids, strict=True)]

    def candidates(self, images: Tensor, content_hw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Before threshold and NMS, for any batch size.

        Returns:
            boxes (N, K, 4) float32 model-input pixels clipped to the content, scores (N, K) float32 in [0, 1], class
            ids (N, K) int64 from 0; best first within each range of levels. K is fixed by the model input.
        """
        outputs = self._head(images)
        logits, offsets = outputs["cls_logits"], outputs["bbox_regression"]  # (N, A, C), (N, A, 4)
        scores = logits.softmax(-1)[..., 1:] if self.softmax else logits.sigmoid()
        classes = scores.shape[-1]
        most = self.detector.topk_candidates
        parts = []
        for start, end in self.ranges:
            best, index = scores[:, start:end].flatten(1).topk(min(most, (end - start) * classes), dim=1)  # (N, k)
            parts.append((best, start + index // classes, index % classes))
        best, anchor, class_ids = (torch.cat(part, 1) for part in zip(*parts, strict=True))  # (N, K) each
        chosen = offsets.gather(1, anchor[..., None].expand(-1, -1, 4))
        boxes = decode_boxes(chosen, self.anchors[anchor], self.detector.box_coder.weights)
        return clip_to_content(boxes, content_hw), best, class_ids

    def _head(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.detector.backbone(self.normalize(images))
        outputs: dict[str, Tensor] = self.detector.head(list(maps.values()))
        return outputs

    def _losses(self, outputs: dict[str, Tensor], targets: list[Target]) -> dict[str, Tensor]:
        anchors = [self.anchors] * len(targets)
        losses: dict[str, Tensor]
        if self.softmax:
            matches = [self._match(target["boxes"]) for target in targets]
            losses = self.detector.compute_loss(targets, outputs, anchors, matches)
        else:  # RetinaNet has no background class: labels count from 0
            losses = self.detector.compute_loss(
                [{**target, "labels": target["labels"] - 1} for target in targets], outputs, anchors
            )
        return losses

    def _match(self, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.full((len(self.anchors),), -1, dtype=torch.int64, device=boxes.device)
        matches: Tensor = self.detector.proposal_matcher(box_iou(boxes, self.anchors))
        return matches

    def _suppress(self, boxes: Tensor, scores: Tensor, class_ids: Tensor) -> Prediction:
        """One image's candidates -> detections."""
        rows = torch.nonzero(scores > self.detector.score_thresh)[:, 0]
        boxes, scores, class_ids = boxes[rows], scores[rows], class_ids[rows]
        kept = batched_nms(boxes, scores, class_ids, self.detector.nms_thresh)[: self.detector.detections_per_img]
        return {"boxes": boxes[kept], "scores": scores[kept], "labels": class_ids[kept]}


def decode_boxes(offsets: Tensor, anchors: Tensor, weights: Sequence[float]) -> Tensor:
    """foveal.models.detection.anchors.decode on tensors of any leading shape: (…, 4), (…, 4) -> (…, 4)."""
    offsets = offsets / offsets.new_tensor(list(weights))
    size = anchors[..., 2:] - anchors[..., :2]
    centre = offsets[..., :2] * size + (anchors[..., :2] + 0.5 * size)
    half = 0.5 * torch.exp(offsets[..., 2:].clamp(max=MAX_LOG_STRETCH)) * size
    return torch.cat((centre - half, centre + half), -1)


def clip_to_content(boxes: Tensor, content_hw: Tensor) -> Tensor:
    """(N, K, 4) boxes into each image's (height, width) of content_hw (N, 2)."""
    limit = content_hw.flip(1).repeat(1, 2)[:, None]  # (N, 1, 4) = w, h, w, h
    return torch.minimum(boxes.clamp(min=0.0), limit.to(boxes.dtype))


def _lay_anchors(detector: RetinaNet | SSD, input_hw: tuple[int, int]) -> tuple[list[int], Tensor]:
    """Anchors of each level, counted, and all of them for one model input."""
    blank = torch.zeros(1, 3, *input_hw)
    was_training = detector.training
    detector.eval()
    with torch.no_grad():
        maps = list(detector.backbone(blank).values())
    detector.train(was_training)
    anchors: Tensor = detector.anchor_generator(ImageList(blank, [input_hw]), maps)[0]
    per_place = detector.anchor_generator.num_anchors_per_location()
    counts = [m.shape[2] * m.shape[3] * n for m, n in zip(maps, per_place, strict=True)]
    return counts, anchors


def retinanet(pyramid: nn.Module, anchors: AnchorGenerator, *, classes: int) -> RetinaNet:
    """Shared heads of four convolutions on every level; focal and generalised-IoU losses."""
    head = RetinaNetHead(
        pyramid.out_channels,
        anchors.num_anchors_per_location()[0],
        classes,
        norm_layer=partial(nn.GroupNorm, 8),  # batches are small, model inputs of several sizes
    )
    head.regression_head._loss_type = "giou"
    return RetinaNet(pyramid, classes, anchor_generator=anchors, head=head)


class SSDMaps(nn.Module):
    """The backbone's maps from `first` on, and four more behind it, each half as large: {level: (N, C, h, w)}.

    `channels` gives each map's. Lite: depthwise-separable extra layers.
    """

    def __init__(self, body: MultiScale, *, first: str, lite: bool) -> None:
        super().__init__()
        self.body = body
        self.levels = tuple(level for level in body.channels if level >= first)
        block = _lite_block if lite else _block
        widths = [body.channels[self.levels[-1]], *EXTRA_CHANNELS]
        self.extra = nn.ModuleList(block(a, b) for a, b in pairwise(widths))
        self.channels = [body.channels[level] for level in self.levels] + list(EXTRA_CHANNELS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """All maps, finest first."""
        found = self.body(images)
        maps = {level: found[level] for level in self.levels}
        x = maps[self.levels[-1]]
        for i, block in enumerate(self.extra):
            x = maps[f"extra{i}"] = block(x)
        return maps


def ssd(maps: SSDMaps, anchors: AnchorGenerator, input_hw: tuple[int, int], *, classes: int, lite: bool) -> SSD:
    """A head of its own on every map; class 0 is background."""
    counts = anchors.num_anchors_per_location()
    if lite:
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        head: nn.Module = SSDLiteHead(maps.channels, counts, classes + 1, norm)
    else:
        head = SSDHead(maps.channels, counts, classes + 1)
    return SSD(maps, anchors, input_hw[::-1], classes + 1, head=head, topk_candidates=SSD_CANDIDATES)


def _lite_block(inputs: int, outputs: int) -> nn.Module:
    """1x1, 3x3 depthwise with stride 2, 1x1."""
    middle = outputs // 2
    layer = partial(Conv2dNormActivation, activation_layer=nn.ReLU6)
    return nn.Sequential(
        layer(inputs, middle, kernel_size=1),
        layer(middle, middle, kernel_size=3, stride=2, groups=middle),
        layer(middle, outputs, kernel_size=1),
    )


def _block(inputs: int, outputs: int) -> nn.Module:
    """1x1, 3x3 with stride 2."""
    middle = outputs // 2
    return nn.Sequential(
        Conv2dNormActivation(inputs, middle, kernel_size=1),
        Conv2dNormActivation(middle, outputs, kernel_size=3, stride=2),
    )
