"""Model inputs of samples (`ModelInputs`), made by the core's decoder and Preprocess as in production."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import MAX_LISTED, Sample

UInt8Array = npt.NDArray[np.uint8]
CACHE_BYTES = 1 << 30
Made = TypeVar("Made")


def make_model_input(sample: Sample[Any], preprocess: Preprocess) -> UInt8Array:
    """(H, W, 3) uint8: decode (reduced when the model input needs less), then Preprocess. Raises BadImage."""
    decoded = decode(sample.path.read_bytes(), target_hw=preprocess.decode_target)
    return preprocess.apply(decoded)[0]


def made_of_all(samples: Sequence[Sample[Any]], make: Callable[[Sample[Any]], Made]) -> Iterator[Made]:
    """What `make` makes of every sample, in order, several at a time.

    Raises:
        BadData: images that cannot be read, all of them in one message, at the end.
    """

    def attempt(sample: Sample[Any]) -> Made | str:
        try:
            return make(sample)
        except (BadImage, OSError) as error:
            return f"{sample.name}: {error}"

    problems = []
    with ThreadPoolExecutor() as pool:  # decoding and resizing release Python's lock
        for made in pool.map(attempt, samples):
            if isinstance(made, str):
                problems.append(made)
            else:
                yield made
    if problems:
        more = f" … and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        raise BadData(f"{len(problems)} images cannot be read: {'; '.join(problems[:MAX_LISTED])}{more}")


class ModelInputs(Sequence[UInt8Array]):
    """The model inputs of samples: all in memory when they fit into `cache_bytes`, else made when asked for.

    Raises:
        BadData: images that cannot be read, all of them in one message.
    """

    def __init__(
        self, samples: Sequence[Sample[Any]], preprocess: Preprocess, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._samples, self._preprocess = samples, preprocess
        shape = (len(samples), *preprocess.input_hw, 3)
        # one block, filled before any worker process forks: workers then share it
        self._cache = np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= cache_bytes else None
        for index, model_input in enumerate(made_of_all(samples, lambda sample: make_model_input(sample, preprocess))):
            if self._cache is not None:
                self._cache[index] = model_input

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        if self._cache is not None:
            return self._cache[index]
        return make_model_input(self._samples[index], self._preprocess)
