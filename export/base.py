"""What export must know about a task; everything else (proof, files, card) is the same for all."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from foveal.export.proof.rounding import Exact
from foveal.export.trace import BATCH
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import Node, Session
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import Options
from foveal.packages.manifest import Manifest, Postprocess, Tensor
from foveal.tasks.base import Outputs

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """A graph's outputs against the trained model's, over many images."""

    measured: dict[str, float]  # worst differences by name; for people and for the manifest
    failures: tuple[str, ...]  # what breaks the criterion, in words and numbers; empty: proved


@dataclass(frozen=True)
class Proof:
    """Reference and graph run on every image under these options; how their outputs are held against each other."""

    options: Options  # None: as the manifest's defaults
    compare: Callable[[Sequence[Outputs], Sequence[Outputs], Exact | None], Comparison]  # reference, graph, rounding


class Prover(Protocol):
    """What a graph has to hold. Stateless."""

    criterion: str  # what the proofs hold the graph to, in words and numbers

    def proofs(self, manifest: Manifest) -> Sequence[Proof]:
        """What has to hold; `manifest` is the draft of `describe`."""
        ...


class Exporter(Prover, Protocol):
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

    def postprocess(self, checkpoint: Checkpoint) -> Postprocess:
        """Defaults of the per-request options."""
        ...

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> Mapping[str, Any]:
        """Fields of the manifest that the trained network's answers on val decide; at least one sample."""
        ...

    def drawings(self, checkpoint: Checkpoint) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Golden images: name -> small (H, W, 3) uint8 RGB, two or three, sides and answers that differ."""
        ...


class ImageExporter(ABC):
    """What is the same for all tasks whose graph reads model inputs and nothing else."""

    def inputs(self, checkpoint: Checkpoint) -> tuple[Tensor, ...]:
        """Model inputs."""
        return (Tensor(name="images", dtype="uint8", shape=(BATCH, *checkpoint.preprocess.input_hw, 3)),)

    def exact(self, checkpoint: Checkpoint) -> Session | None:
        """Not asked for."""
        return None

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> Mapping[str, Any]:
        """Nothing to tune."""
        return {}

    def proofs(self, manifest: Manifest) -> Sequence[Proof]:
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
