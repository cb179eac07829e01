"""Networks of semantic segmentation: a backbone and a decoder, one line an architecture (`ARCHITECTURES`)."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.models.segmentation.lraspp import LRASPPHead

from foveal.models.backbones import MultiScale
from foveal.models.backbones.normalization import Normalize
from foveal.models.segmentation.unet import UNet


class Segmenter(nn.Module):
    """uint8 (N, H, W, 3) model inputs -> logits (N, classes, H, W) float32, upsampled bilinearly to the model input."""

    def __init__(self, normalize: Normalize, decoder: nn.Module) -> None:
        super().__init__()
        self.normalize, self.decoder = normalize, decoder

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch."""
        logits = self.decoder(self.normalize(images))
        return F.interpolate(logits, size=images.shape[1:3], mode="bilinear", align_corners=False)


class OnDeepest(nn.Module):
    """A head on the backbone's deepest map, stride 32.

    torchvision dilates the backbone to stride 8 instead, which costs four to sixteen times the work of the last stages.
    """

    def __init__(self, encoder: MultiScale, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, images: Tensor) -> Tensor:
        """Logits at stride 32."""
        logits: Tensor = self.head(self.encoder(images)["c5"])
        return logits


class LiteAspp(nn.Module):
    """LR-ASPP: a gated stride-16 map and a stride-8 shortcut. Howard et al., "Searching for MobileNetV3", ICCV 2019."""

    def __init__(self, encoder: MultiScale, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = LRASPPHead(encoder.channels["c3"], encoder.channels["c4"], classes, 128)

    def forward(self, images: Tensor) -> Tensor:
        """Logits at stride 8."""
        maps = self.encoder(images)
        logits: Tensor = self.head({"low": maps["c3"], "high": maps["c4"]})
        return logits


# each gives logits (N, classes, H / stride, W / stride)
ARCHITECTURES: dict[str, Callable[[MultiScale, int], nn.Module]] = {
    "unet": UNet,
    "lraspp": LiteAspp,
    # Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017
    "deeplabv3": lambda encoder, classes: OnDeepest(encoder, DeepLabHead(encoder.channels["c5"], classes, (2, 4, 6))),
    # Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015
    "fcn": lambda encoder, classes: OnDeepest(encoder, FCNHead(encoder.channels["c5"], classes)),
}
