"""Model inputs of samples (`ModelInputs`), made by the core's decoder and Preprocess as in production."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import MAX_LISTED, Sample

UInt8Array = npt.NDArray[np.uint8]
CACHE_BYTES = 1 << 30


def make_model_input(sample: Sample[Any], preprocess: Preprocess) -> UInt8Array:
    """(H, W, 3) uint8: decode (reduced when the model input needs less), then Preprocess. Raises BadImage."""
    decoded = decode(sample.path.read_bytes(), target_hw=preprocess.decode_target)
    return preprocess.apply(decoded)[0]


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
        with ThreadPoolExecutor() as pool:  # decoding and resizing release Python's lock
            problems = [problem for problem in pool.map(self._fill, range(len(samples))) if problem]
        if problems:
            more = f" … and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
            raise BadData(f"{len(problems)} images cannot be read: {'; '.join(problems[:MAX_LISTED])}{more}")

    def _fill(self, index: int) -> str | None:
        sample = self._samples[index]
        try:
            model_input = make_model_input(sample, self._preprocess)
        except (BadImage, OSError) as error:
            return f"{sample.name}: {error}"
        if self._cache is not None:
            self._cache[index] = model_input
        return None

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        if self._cache is not None:
            return self._cache[index]
        return make_model_input(self._samples[index], self._preprocess)
