"""What the reader of a layout gives. Each layout has a file of its own, layout_<name>.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample


@dataclass(frozen=True)
class Finding:
    """Something in a data set that a person should look at."""

    kind: str  # a key of check.KINDS
    name: str  # of the sample or file
    detail: str


@dataclass(frozen=True)
class Reading:
    """A data set as it is written. Entries that could not be taken over are among `findings`."""

    layout: str  # in words
    labels: tuple[str, ...]
    samples: tuple[Sample[ObjectTruth], ...]  # in the order of names
    split_of: Mapping[str, str] = field(default_factory=dict)  # sample name -> split, where the layout says it
    findings: tuple[Finding, ...] = ()
