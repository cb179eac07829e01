"""BatchNorm folded into convolutions, before tracing."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

BATCH_NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)


def fold_batch_norm(network: nn.Module) -> None:
    """Fold each BatchNorm into the convolution before it, in place; the network must be in eval mode.

    torch.export cannot take batch_norm through a mask head, whose number of rows it does not know; everywhere else
    folding saves a third of the nodes and half of the time that an export takes. "Before it" is the order of the
    parent's children, as in all of torchvision; a network built otherwise would fail parity.
    """
    assert not network.training
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BATCH_NORMS):
                _fuse(conv, norm)
                setattr(parent, name, nn.Identity())


def _fuse(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
