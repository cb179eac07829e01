"""Losses of semantic segmentation: cross-entropy and Dice over the pixels that count."""

import torch
import torch.nn.functional as F
from torch import Tensor

from foveal.metrics.semantic import IGNORE


def dice_loss(logits: Tensor, truths: Tensor) -> Tensor:
    """1 - mean over classes of the soft Dice coefficient (Milletari, Navab, Ahmadi, "V-Net", 3DV 2016).

    `logits` are (N, C, H, W), `truths` (N, H, W) int64 with IGNORE; classes absent from the batch's truth do not count.
    """
    classes = logits.shape[1]
    counted = (truths != IGNORE)[:, None]
    wanted = F.one_hot(truths.clamp(max=classes - 1), classes).permute(0, 3, 1, 2) * counted
    found = logits.softmax(1) * counted
    both = (found * wanted).sum((0, 2, 3))
    sizes = found.sum((0, 2, 3)) + wanted.sum((0, 2, 3))
    present = wanted.sum((0, 2, 3)) > 0
    coefficients = (2 * both + 1) / (sizes + 1)
    return 1 - coefficients[present].mean() if bool(present.any()) else logits.sum() * 0


def cross_entropy(logits: Tensor, truths: Tensor, *, weighted: bool) -> Tensor:
    """Mean over the pixels that count; `weighted`: classes by 1 / sqrt(frequency in the batch)."""
    weight = _class_weights(truths, logits.shape[1]) if weighted else None
    return F.cross_entropy(logits, truths, weight, ignore_index=IGNORE)


def _class_weights(truths: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(truths[truths != IGNORE].flatten(), minlength=classes).float() + 1
    weights = (counts.sum() / counts).sqrt()
    return weights / weights.mean()
