"""Exporters (`Exporter`): what export must know about a task; proof, files and card are the same for all."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from foveal.export.proof.criteria import Comparison, Criterion, Proof
from foveal.export.proof.rounding import Exact
from foveal.export.trace import BATCH
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import Node, Session
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import Defaults, Options
from foveal.packages.manifest import PipelineSpec, Tensor
from foveal.tasks.base import Outputs

Array = npt.NDArray[Any]


class Exporter(Criterion, Protocol):
    """One task's part of an export."""

    def inputs(self, checkpoint: Checkpoint) -> tuple[Tensor, ...]:
        """What the graph will read, as the core's task feeds it."""
        ...

    def trace(self, checkpoint: Checkpoint) -> bytes:
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
    """Base of exporters whose graph reads `images` and nothing else."""

    def inputs(self, checkpoint: Checkpoint) -> tuple[Tensor, ...]:
        """Model inputs."""
        return (Tensor(name="images", dtype="uint8", shape=(BATCH, *checkpoint.preprocess.input_hw, 3)),)

    def exact(self, checkpoint: Checkpoint) -> Session | None:
        """Not asked for."""
        return None

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> PipelineSpec:
        """Nothing to tune."""
        return trained.spec

    def proofs(self, spec: PipelineSpec, *, architecture: str) -> Sequence[Proof]:
        """One: no option changes what such a graph computes."""
        return (Proof(Options(), self.compare),)

    @abstractmethod
    def compare(self, expected: Sequence[Outputs], got: Sequence[Outputs], exact: Exact | None = None) -> Comparison:
        """Outputs of the reference and of the graph, image by image."""


@dataclass(frozen=True)
class TensorNode:
    """An input or output of a `TorchSession`."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class TorchSession:
    """Makes a torch function answer like an ONNX Runtime session, so that one pipeline runs both."""

    def __init__(self, outputs: Sequence[str], forward: "Forward") -> None:
        self._outputs = tuple(TensorNode(name, "", ()) for name in outputs)
        self._forward = forward

    def get_inputs(self) -> Sequence[Node]:
        """None are declared: torch takes what the task feeds."""
        return ()

    def get_outputs(self) -> Sequence[Node]:
        """The graph's output names."""
        return self._outputs

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, Array]) -> Sequence[Array]:
        """Run the network without gradients."""
        outputs = self._forward(input_feed)
        return [outputs[name] for name in output_names]


class Forward(Protocol):
    """A network as numpy sees it."""

    def __call__(self, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Input name -> array to output name -> array."""
        ...
