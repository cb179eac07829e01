"""The focal loss over a softmax (`focal_loss`); tests hold it to numerical gradients."""

import torch.nn.functional as F
from torch import Tensor


def focal_loss(
    logits: Tensor, targets: Tensor, *, gamma: float, label_smoothing: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy in which a class predicted with probability p counts (1 - p) ** gamma, averaged over samples.

    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017, here over a softmax.

    Args:
        logits: (N, C) float.
        targets: (N,) int64 class ids, or (N, C) shares that sum to 1.
        gamma: 0 gives cross-entropy.
        label_smoothing: share of the target spread over all classes.
        weight: (C,) what each class counts; None: all the same.
    """
    log_p = F.log_softmax(logits, dim=1)
    classes = logits.shape[1]
    shares = targets if targets.is_floating_point() else F.one_hot(targets, classes).to(log_p.dtype)
    shares = shares * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        shares = shares * weight
    return -(shares * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1).mean()
