"""U-Net: an encoder, a decoder and skip connections that carry detail from one to the other.

A classifier's backbone halves the image five times; its last map shows that there is a road, but not where its edge
runs. U-Net goes back up: at each step the coarse map is doubled, laid beside the encoder's map of that size (the
"skip": sharp, but of little meaning) and two 3x3 convolutions merge the two. Ronneberger, Fischer, Brox, "U-Net:
Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, https://arxiv.org/abs/1505.04597.

What differs from the paper, and why: the encoder is a pretrained backbone (45 images cannot train one); convolutions
are padded, so that sizes match without cropping; doubling is bilinear, which leaves no checkerboard as transposed
convolutions do (Odena, Dumoulin, Olah, 2016, https://distill.pub/2016/deconv-checkerboard); the decoder ends at
stride 4, where backbones have their finest map, and the caller upsamples the logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveal.models.backbones import LEVELS, MultiScale

DECODER_CHANNELS = (128, 64, 48)  # at strides 16, 8, 4: about as much work as a MobileNetV2 encoder
BRIDGE_CHANNELS = 256  # the deepest map is narrowed first: 1280 channels would triple the decoder's work


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution without a bias (the normalisation has one), padded to keep the size."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class UpBlock(nn.Module):
    """One step up: (N, C, h, w) and a skip (N, S, 2h, 2w) -> (N, D, 2h, 2w)."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(
            conv_norm_relu(in_channels + skip_channels, out_channels, 3),
            conv_norm_relu(out_channels, out_channels, 3),
        )

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Double the coarse map to the skip's size (odd sides included), join, merge."""
        coarse = F.interpolate(coarse, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        merged: Tensor = self.merge(torch.cat([coarse, skip], dim=1))
        return merged


class UNet(nn.Module):
    """normalised (N, 3, H, W) float32 -> logits (N, classes, H / 4, W / 4).

    Args:
        encoder: a backbone with maps at strides 4, 8, 16, 32.
        classes: how many classes can win.
        channels: the decoder's channels at strides 16, 8 and 4.
    """

    def __init__(self, encoder: MultiScale, classes: int, channels: Sequence[int] = DECODER_CHANNELS) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, deepest = LEVELS
        self.bridge = conv_norm_relu(encoder.channels[deepest], BRIDGE_CHANNELS, 1)
        self._skips = tuple(reversed(skips))  # c4, c3, c2: the way up
        incoming = (BRIDGE_CHANNELS, *channels)
        self.ups = nn.ModuleList(
            UpBlock(incoming[i], encoder.channels[level], channels[i]) for i, level in enumerate(self._skips)
        )
        self.classify = nn.Conv2d(channels[-1], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits at stride 4."""
        maps = self.encoder(images)
        merged = self.bridge(maps[LEVELS[-1]])
        for up, level in zip(self.ups, self._skips, strict=True):
            merged = up(merged, maps[level])
        logits: Tensor = self.classify(merged)
        return logits
