"""Graphs of RetinaNet, SSD and SSDLite: all up to the best K candidates; threshold and NMS run in the core."""

import copy

import torch
from torch import Tensor, nn

from foveal.export.detection.fold import fold_batch_norm
from foveal.models.detection.networks.onestage import OneStageDetector


class OneStageGraph(nn.Module):
    """images (N, H, W, 3) uint8, content_hw (N, 2) float32 -> boxes (N, K, 4), scores (N, K), class_ids (N, K).

    K is fixed by the model input and the network's `topk_candidates`: the cap that keeps a request with score_threshold
    0 bounded. `OneStageDetector.candidates` says what the outputs hold.
    """

    def __init__(self, network: OneStageDetector) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().to(memory_format=torch.contiguous_format)
        fold_batch_norm(self.network)

    def forward(self, images: Tensor, content_hw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The candidates of a batch."""
        return self.network.candidates(images, content_hw)
