"""Export of semantic segmentation: `images` (N, H, W, 3) uint8 -> `class_map`, `confidence` (N, H, W) uint8."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from foveal import synth
from foveal.export.base import ImageExporter
from foveal.export.networks import Array
from foveal.export.proof.criteria import Comparison
from foveal.export.proof.rounding import Exact
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import Defaults
from foveal.tasks.base import Outputs

MAX_DIFFERING = 1e-4  # share of pixels


class ClassMap(nn.Module):
    """The network, then the winner: two bytes a pixel leave the graph instead of one float a class."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W) class ids, and the winner's probability in 255ths."""
        shares, ids = self.network(images).softmax(1).max(1)
        return ids.to(torch.uint8), (shares * 255).round().to(torch.uint8)


class SegmentationExporter(ImageExporter):
    """Logits are upsampled bilinearly to the size of the model input, then the winner is taken."""

    criterion = (
        "the same class for at least 99.99 % of the pixels, and the winner's probability within 1/255 "
        "for at least 99.99 % of them, of all images together"
    )

    outputs = ("class_map", "confidence")

    def traced(self, network: nn.Module) -> nn.Module:
        """The network and the choice of the winner."""
        return ClassMap(network)

    def answers(self, logits: Array) -> Mapping[str, Array]:
        """The winner of each pixel, taken in NumPy."""
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        top = shares.max(axis=1) / shares.sum(axis=1)
        return {"class_map": logits.argmax(axis=1).astype(np.uint8), "confidence": np.rint(top * 255).astype(np.uint8)}

    def defaults(self, checkpoint: Checkpoint) -> Defaults:
        """PNG class maps."""
        return Defaults(mask_format="png")

    def drawings(self, checkpoint: Checkpoint) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Two drawn towns, one wide and one high, so that a swapped axis shows."""
        return {
            "wide": synth.draw("aerial", seed=7, index=0, image_hw=(192, 288)).rgb,
            "high": synth.draw("aerial", seed=7, index=1, image_hw=(288, 192)).rgb,
        }

    def compare(self, expected: Sequence[Outputs], got: Sequence[Outputs], exact: Exact | None = None) -> Comparison:
        """Pixels against pixels, over all images together."""
        differing = {"class_map": 0, "confidence": 0}
        pixels = 0
        for want, have in zip(expected, got, strict=True):
            if want["class_map"].shape != have["class_map"].shape:
                shapes = f"expected {want['class_map'].shape}, got {have['class_map'].shape}"
                return Comparison({}, (f"class_map: {shapes}",))
            pixels += want["class_map"].size
            differing["class_map"] += int((want["class_map"] != have["class_map"]).sum())
            gap = want["confidence"].astype(np.int16) - have["confidence"]
            differing["confidence"] += int((np.abs(gap) > 1).sum())
        shares = {f"{name}_differing_share": count / pixels for name, count in differing.items()}
        failures = tuple(
            f"{name}: expected at most {MAX_DIFFERING:.2%}, got {share:.4%} of {pixels} pixels"
            for name, share in shares.items()
            if share > MAX_DIFFERING
        )
        return Comparison(shares, failures)
