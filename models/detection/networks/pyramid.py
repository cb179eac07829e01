"""Feature pyramids: every registered backbone with one map a stride, all of the same width.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, https://arxiv.org/abs/1612.03144: deep maps know
what, shallow maps know where; each level adds the upsampled next deeper one to its own, so that small objects are found
on fine maps with deep meaning.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from foveal.models.backbones import LEVELS, MultiScale

STRIDES = dict(zip(LEVELS, (4, 8, 16, 32), strict=True))
Top = Literal["none", "pool", "p6p7"]
_EXTRA_LEVELS: dict[Top, int] = {"none": 0, "pool": 1, "p6p7": 2}


class Pyramid(nn.Module):
    """Backbone and FPN: normalised (N, 3, H, W) -> {level: (N, out_channels, H / stride, W / stride)}, finest first.

    `top` adds coarser levels: "pool" one by subsampling (Faster R-CNN), "p6p7" two by strided convolutions (RetinaNet).
    `strides` gives every level's stride in model-input pixels.
    """

    def __init__(self, body: MultiScale, *, levels: Sequence[str] = LEVELS, out_channels: int, top: Top) -> None:
        super().__init__()
        self.body = body
        self.levels = tuple(levels)
        self.out_channels = out_channels
        widths = [body.channels[level] for level in self.levels]
        blocks = {"none": None, "pool": LastLevelMaxPool(), "p6p7": LastLevelP6P7(widths[-1], out_channels)}
        self.fpn = FeaturePyramidNetwork(widths, out_channels, blocks[top])
        first, deepest = STRIDES[self.levels[0]], STRIDES[self.levels[-1]]
        count = len(self.levels) + _EXTRA_LEVELS[top]
        assert first * 2 ** (len(self.levels) - 1) == deepest, "levels without gaps"
        self.strides = tuple(first * 2**i for i in range(count))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """All levels, finest first."""
        maps = self.body(images)
        pyramid: dict[str, Tensor] = self.fpn({level: maps[level] for level in self.levels})
        return pyramid


def freeze_levels(body: MultiScale, count: int) -> None:
    """No gradients for the first `count` levels.

    They see edges and colours, which ImageNet taught well enough, while their large maps cost the most to train.
    """
    if count:
        for layer in body.layers_up_to(LEVELS[count - 1]):
            layer.requires_grad_(False)


class PyramidPool(nn.Module):
    """RoIAlign over a pyramid: a box is pooled from the level whose stride suits its size.

    Level k = floor(k0 + log2(sqrt(w h) / canonical_px)) (FPN paper, equation 1), counted so that a box of canonical_px
    is pooled at stride 16; a smaller `canonical_px` takes boxes from deeper maps. Equal to torchvision's
    MultiScaleRoIAlign (tested), but the scales are the pyramid's strides: torchvision derives them from the images'
    sizes at the first call, which goes wrong for an image that fills a thin strip of its model input.

    Args:
        strides: of the levels to pool from, finest first.
        levels: their names in the dict of feature maps.
        output_px: side of the pooled square.
        canonical_px: side of a box that is pooled at stride 16, in model-input pixels.
    """

    def __init__(
        self,
        *,
        strides: Sequence[int],
        levels: Sequence[str],
        output_px: int,
        canonical_px: float,
        sampling_ratio: int = 2,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.levels = tuple(levels)
        self.output_px = output_px
        self.canonical_px = canonical_px
        self.sampling_ratio = sampling_ratio

    def level_of(self, boxes_xyxy: Tensor) -> Tensor:
        """(M, 4) model-input pixels -> (M,) int64 index into `levels`."""
        sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        size_px = torch.sqrt(sides[:, 0] * sides[:, 1])
        stride_log2 = torch.floor(4.0 + torch.log2(size_px / self.canonical_px) + 1e-6)  # 4: stride 16 = 2**4
        finest = self.strides[0].bit_length() - 1
        return stride_log2.clamp(finest, finest + len(self.strides) - 1).to(torch.int64) - finest

    def pool_level(self, features: Tensor, rois: Tensor, index: int) -> Tensor:
        """RoIAlign on one level: rois (M, 5) = (image, x1, y1, x2, y2) -> (M, C, output_px, output_px)."""
        scale = 1.0 / self.strides[index]
        pooled: Tensor = roi_align(features, rois, self.output_px, scale, self.sampling_ratio)
        return pooled

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]] | None = None
    ) -> Tensor:
        """One (M_i, 4) tensor of boxes an image -> (sum M_i, C, output_px, output_px).

        `image_shapes` is what torchvision's RoIHeads hands over; the strides make it unnecessary.
        """
        image_index = torch.cat([torch.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
        rois = torch.cat((image_index, torch.cat(boxes)), 1)  # (M, 5)
        return self.pool_rois(features, rois)

    def pool_rois(self, features: dict[str, Tensor], rois: Tensor) -> Tensor:
        """rois (M, 5) = (image, x1, y1, x2, y2) -> (M, C, output_px, output_px), each from the level that suits it.

        The exported graph calls this too; hence `shape[0]`, since `len` would bake the number of rows into it.
        """
        level = self.level_of(rois[:, 1:])
        first = features[self.levels[0]]
        pooled = first.new_zeros((rois.shape[0], first.shape[1], self.output_px, self.output_px))
        for index, name in enumerate(self.levels):
            rows = torch.nonzero(level == index)[:, 0]
            pooled = pooled.index_put((rows,), self.pool_level(features[name], rois[rows], index))
        return pooled
