"""Base class of a task (`Task`): everything the core knows about one kind of question a model can answer.

A task is stateless; everything about one model is in its `PipelineSpec`. A new task is one module here and one line in
`TASKS`; nothing else in the core names tasks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from foveal.errors import BadRequest
from foveal.imaging.preprocess import ImageTransform
from foveal.imaging.tiling import Window
from foveal.options import OPTIONS, Options
from foveal.packages.manifest import GoldenTolerance, PipelineSpec
from foveal.results import JsonObject, Result

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]  # output name -> array


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


@dataclass(frozen=True)
class Task(ABC):
    """Raw graph outputs -> results -> every form in which they leave. `options` are always resolved ones.

    The graph reads `images` (N, H, W, 3) uint8 and its outputs' first axis is the batch, unless a task says otherwise.
    """

    name: str  # in manifests, recipes and on the command line
    endpoint: str  # POST /v1/<endpoint>
    option_names: frozenset[str]  # keys of foveal.options.OPTIONS
    columns: tuple[str, ...]  # of `Result.rows`, in order
    entry: type[BaseModel]  # schema of an entry's members beside `image`
    purpose: str  # of a model, for its card; {classes} is their number in words
    limit: str  # of every such model, for its card
    summary_title: str  # what `Result.summary` counts

    def option_schema(self, name: str) -> dict[str, Any]:
        """JSON schema of an option, where the task takes fewer values than `OPTIONS` says."""
        return OPTIONS[name].schema()

    def batch_key(self, options: Options) -> object:
        """Requests with equal keys may share a batch (an option that is a scalar graph input must be equal)."""
        return None

    def feeds(self, batch: Sequence[Prepared], options: Sequence[Options], spec: PipelineSpec) -> dict[str, Array]:
        """Graph inputs for N images whose options share a batch key."""
        return {"images": stack_inputs(batch)}

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """Batched outputs -> one mapping an image."""
        return split_rows(outputs, count)

    @abstractmethod
    def decode(self, outputs: Outputs, transform: ImageTransform, spec: PipelineSpec, options: Options) -> Result:
        """One image's outputs -> result in original pixels."""

    def render(self, result: Result, options: Options) -> JsonObject:
        """The result's members of a JSON entry, rounded: scores and shares to 6 decimals, boxes to 2.

        Raises:
            BadRequest: a mask format that this task does not have.
        """
        return result.to_dict(mask_format=options.mask_format)

    @abstractmethod
    def differences(self, expected: JsonObject, got: JsonObject, tolerance: GoldenTolerance) -> list[str]:
        """Where a rendered entry leaves the golden one by more than the tolerance, in words; [] when it matches."""

    @abstractmethod
    def arrow_members(self, labels: Sequence[str], mask_format: str | None) -> dict[str, Any]:
        """Entry member -> pyarrow type (foveal.tasks.arrow), for Parquet; members are those of `entry`."""

    def join(self, parts: Iterable[tuple[Window, Result]], image_hw: tuple[int, int]) -> Result:
        """The results of all windows -> the result of the image; for tasks with the option `tile`.

        Results are taken one by one: an iterator keeps memory small.
        """
        raise AssertionError(f"{self.name} has no option 'tile'")

    # What only some tasks have: a task without it inherits the refusal.

    has_objects = False  # whether results are objects with boxes, so that COCO results can be written
    has_id_map = False  # whether `id_map` gives anything

    def coco_rows(self, result: Result) -> list[JsonObject]:
        """COCO results of one image: bbox (x, y, width, height), score, class_id and, with masks, segmentation."""
        raise BadRequest(f"expected a model whose results are objects, got one for {self.name}")

    def id_map(self, result: Result) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """(H, W): what each pixel of the original image belongs to."""
        raise BadRequest(f"expected a model with masks, got one for {self.name}")


def stack_inputs(batch: Sequence[Prepared]) -> npt.NDArray[np.uint8]:
    """(N, H, W, 3) uint8; a single model input is only given its batch axis, not copied."""
    if len(batch) == 1:
        return batch[0].model_input[None]
    return np.stack([item.model_input for item in batch])


def joined_rows(rows: Sequence[Outputs]) -> Outputs:
    """Outputs of single images -> of their batch."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def split_rows(outputs: Outputs, count: int) -> list[Outputs]:
    """Split outputs whose first axis is the batch."""
    return [{name: value[i] for name, value in outputs.items()} for i in range(count)]
