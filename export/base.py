"""Exporters (`Exporter`): what export must know about a task; proof, files and card are the same for all."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from foveal.export.external_data import MAX_INLINE_BYTES
from foveal.export.networks import Array, TorchSession, twin
from foveal.export.proof.criteria import Comparison, Criterion, Proof
from foveal.export.proof.rounding import Exact
from foveal.export.trace import BATCH, trace
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import Session
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import Defaults, Options
from foveal.packages.manifest import PipelineSpec, Tensor
from foveal.packages.package import Graph
from foveal.tasks.base import Outputs


class Exporter(Criterion, Protocol):
    """One task's part of an export."""

    def inputs(self, checkpoint: Checkpoint) -> tuple[Tensor, ...]:
        """What the graph will read, as the core's task feeds it."""
        ...

    def trace(self, checkpoint: Checkpoint, *, inline_bytes: int = MAX_INLINE_BYTES) -> Graph:
        """The ONNX graph; its inputs and outputs are those that the core's task feeds and decodes."""
        ...

    def reference(self, checkpoint: Checkpoint) -> Session:
        """The trained model itself, eager and unwrapped, answering with the graph's output names."""
        ...

    def exact(self, checkpoint: Checkpoint) -> Session | None:
        """The trained model in float64, as rounding.py uses it; None: the criterion has no use for it."""
        ...

    def defaults(self, checkpoint: Checkpoint) -> Defaults:
        """Defaults of the per-request options."""
        ...

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> PipelineSpec:
        """The pipeline's spec with what the trained network's answers on val decide; at least one sample."""
        ...

    def drawings(self, checkpoint: Checkpoint) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Golden images: name -> small (H, W, 3) uint8 RGB, two or three, sides and answers that differ."""
        ...


class ImageExporter(ABC):
    """Base of exporters whose graph reads `images` and nothing else, and whose network answers with logits."""

    outputs: tuple[str, ...]  # the graph's, in order

    def inputs(self, checkpoint: Checkpoint) -> tuple[Tensor, ...]:
        """Model inputs."""
        return (Tensor(name="images", dtype="uint8", shape=(BATCH, *checkpoint.preprocess.input_hw, 3)),)

    def trace(self, checkpoint: Checkpoint, *, inline_bytes: int = MAX_INLINE_BYTES) -> Graph:
        """The ONNX graph."""
        example = torch.zeros((2, *checkpoint.preprocess.input_hw, 3), dtype=torch.uint8)
        module = self.traced(checkpoint.network).eval()
        return trace(module, {"images": example}, self.outputs, inline_bytes=inline_bytes)

    def reference(self, checkpoint: Checkpoint) -> Session:
        """The network without its own normalisation: done here, in NumPy, from what the manifest states."""
        mean, std = (np.array(v, np.float32) for v in (checkpoint.preprocess.mean, checkpoint.preprocess.std))
        network = twin(checkpoint.network, normalize=_ToPlanes())

        def forward(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            normalised = (feeds["images"].astype(np.float32) / np.float32(255) - mean) / std  # (N, H, W, 3)
            with torch.inference_mode():
                return self.answers(network(torch.from_numpy(normalised)).numpy())

        return TorchSession(self.outputs, forward)

    def exact(self, checkpoint: Checkpoint) -> Session | None:
        """Not asked for."""
        return None

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> PipelineSpec:
        """Nothing to tune."""
        return trained.spec

    def proofs(self, spec: PipelineSpec) -> Sequence[Proof]:
        """One: no option changes what such a graph computes."""
        return (Proof(Options(), self.compare),)

    def traced(self, network: nn.Module) -> nn.Module:
        """What is traced: the network as it is."""
        return network

    @abstractmethod
    def answers(self, logits: Array) -> Mapping[str, Array]:
        """The network's logits -> the graph's outputs, computed in NumPy."""

    @abstractmethod
    def compare(self, expected: Sequence[Outputs], got: Sequence[Outputs], exact: Exact | None = None) -> Comparison:
        """Outputs of the reference and of the graph, image by image."""


class _ToPlanes(nn.Module):
    """(N, H, W, 3) float, normalised outside -> (N, 3, H, W); networks read the size of the images before it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 3, 1, 2).contiguous()
