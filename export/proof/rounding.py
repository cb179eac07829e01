"""Rounding error of a trained network: its answers in float32 against those in float64.

Two correct programs add up the same products in different orders, so each of them diverges from the exact answer, by an
amount that belongs to the network and to the image, not to the programs: depth, cancelling sums and BatchNorm
channels of little variance magnify the roundings of every layer before them. Most networks diverge by 1e-6 of their
answers, and the fixed bounds of the proofs have room to spare. A few diverge by 1e-4 and more: EfficientNet with random
weights on 32 px has running variances down to 6e-13 and logits of 182, and is itself off by 0.05. No program could keep
a fixed bound there, and a bound that grows with the logits alone would be looser for every network, also for those
that need none of it.

So where, and only where, a fixed bound is broken, the trained network is asked in float64 how far its own float32
answers diverge. The difference of two programs may then be `ROUNDINGS` times that: it was 3.1 times at most over all
backbones with random weights and some trained from scratch, and an error that is measured on some tens of images is
small by luck now and then. A damaged weight is no rounding: 1 % on one convolution moves the graph and leaves the
trained network's own error as it was (tests/export/test_parity.py). For detectors detection/rounding.py does the same,
image by image (docs/EXPORT.md).
"""

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from foveal.tasks.base import Outputs

ROUNDINGS = 8
Exact = Callable[[int], Outputs]  # number of an image -> the trained network's outputs in float64
Network = TypeVar("Network", bound=nn.Module)


def doubled(network: Network) -> Network:
    """The same network in float64; every float32 weight is itself, exactly."""
    return copy.deepcopy(network).double()
