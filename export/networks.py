"""Trained networks as export runs them: answering like a session (`TorchSession`), with parts replaced (`twin`)."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from foveal.inference.session import Node

Array = npt.NDArray[Any]


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
        writable = {name: np.require(array, requirements="W") for name, array in input_feed.items()}  # as torch expects
        outputs = self._forward(writable)
        return [outputs[name] for name in output_names]


class Forward(Protocol):
    """A network as numpy sees it."""

    def __call__(self, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Input name -> array to output name -> array."""
        ...


def twin(module: Any, **changes: object) -> Any:
    """A copy that shares the weights and has other parts or settings; the original stays as it is."""
    other = copy.copy(module)
    other._modules = dict(module._modules)  # copy.copy shares the table of parts
    for name, value in changes.items():
        (setattr if isinstance(value, nn.Module) else object.__setattr__)(other, name, value)
    return other
