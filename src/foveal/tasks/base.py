"""What a task must be able to do. A task is stateless; everything about one model is in the manifest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from foveal.imaging.preprocess import ImageTransform
from foveal.imaging.tiling import Window
from foveal.options import Options
from foveal.packages.manifest import GoldenTolerance, Manifest
from foveal.results import Result

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]  # output name -> array
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """One image, ready for the graph. With the option `tile` the graph reads its parts instead."""

    model_input: npt.NDArray[np.uint8]  # (H, W, 3)
    transform: ImageTransform
    exif_orientation: int = 1
    parts: tuple["Part", ...] = ()


@dataclass(frozen=True)
class Part:
    """One window of a large image, ready for the graph as if it were an image."""

    window: Window
    prepared: Prepared


class Task(Protocol):
    """raw graph outputs -> results -> JSON. `options` are always resolved against the manifest."""

    name: str
    endpoint: str  # POST /v1/<endpoint>
    option_names: frozenset[str]
    csv_columns: tuple[str, ...]

    def batch_key(self, options: Options) -> object:
        """Requests with equal keys may share a batch (an option that is a scalar graph input must be equal)."""
        ...

    def feeds(self, batch: Sequence[Prepared], options: Sequence[Options], manifest: Manifest) -> dict[str, Array]:
        """Graph inputs for N images."""
        ...

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """Batched outputs -> one mapping an image."""
        ...

    def decode(self, outputs: Outputs, transform: ImageTransform, manifest: Manifest, options: Options) -> Result:
        """One image's outputs -> result in original pixels."""
        ...

    def render(self, result: Result, options: Options) -> JsonObject:
        """The result's members of a JSON entry, rounded as CONTRACT says."""
        ...

    def csv_rows(self, rendered: JsonObject) -> Iterable[Mapping[str, object]]:
        """A rendered entry as flat rows over `csv_columns`."""
        ...

    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Where a rendered result leaves the golden one by more than the tolerance, in words; [] when it matches."""
        ...


def stack_inputs(batch: Sequence[Prepared]) -> npt.NDArray[np.uint8]:
    """(N, H, W, 3) uint8; a single model input is only given its batch axis, not copied."""
    if len(batch) == 1:
        return batch[0].model_input[None]
    return np.stack([item.model_input for item in batch])


def split_rows(outputs: Outputs, count: int) -> list[Outputs]:
    """Split outputs whose first axis is the batch."""
    return [{name: value[i] for name, value in outputs.items()} for i in range(count)]
