"""Criteria of parity (`Criterion`): what a graph is compared on, and under which options."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from foveal.export.proof.rounding import Exact
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec
from foveal.tasks.base import Outputs


@dataclass(frozen=True)
class Comparison:
    """A graph's outputs against the trained model's, over many images."""

    measured: dict[str, float]  # worst differences by name; for people and for the manifest
    failures: tuple[str, ...]  # what breaks the criterion, in words and numbers; empty: proved


@dataclass(frozen=True)
class Proof:
    """Reference and graph run on every image under these options; how their outputs are held against each other."""

    options: Options  # None: as the model's defaults
    compare: Callable[[Sequence[Outputs], Sequence[Outputs], Exact | None], Comparison]  # reference, graph, rounding


class Criterion(Protocol):
    """What a graph has to hold. Stateless."""

    criterion: str  # what the proofs hold the graph to, in words and numbers

    def proofs(self, spec: PipelineSpec) -> Sequence[Proof]:
        """What has to hold for this model."""
        ...
