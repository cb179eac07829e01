"""Data sets as written (`Reading`) and what is odd about them (`Finding`); each layout's reader has its own file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample


@dataclass(frozen=True)
class Finding:
    """Something in a data set that a person should know."""

    kind: str  # a key of check.KINDS
    name: str  # of the sample or file
    detail: str


@dataclass(frozen=True)
class Reading:
    """A data set as it is written. Entries that could not be taken over are among `findings`."""

    layout: str  # in words
    labels: tuple[str, ...]
    samples: tuple[Sample[ObjectTruth], ...]  # in the order of names
    split_of: Mapping[str, str] = field(default_factory=dict)  # sample name -> split, where the layout has it
    findings: tuple[Finding, ...] = ()
