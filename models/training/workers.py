"""Worker processes of data loaders: room for what they hand over, and words for what goes wrong in them.

Workers hand batches over through shared memory, /dev/shm on Linux. Where that is too small (Docker gives 64 MB) the
batch is lost inside the worker, and the training would wait for it for ever.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from foveal.errors import FovealError
from foveal.models.data.loading import SampleKey, derived_seed

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only its free space is read
PREFETCHED = 2  # batches that torch keeps ready, a worker
REMEDY = "give more shared memory (docker run --shm-size 2g) or prepare images in the training process (--workers 0)"


class WorkersFailed(FovealError):
    """A process that prepares images died, hangs, or has no memory to hand its images over."""

    title = "Worker processes failed"


def expect_room(dataset: Dataset[Any], *, batch_size: int, workers: int, folder: Path = SHARED_MEMORY) -> None:
    """Compare the shared memory that is free with what the batches in flight will take.

    Args:
        dataset: `dataset[SampleKey]`; its first sample is prepared, to be measured.
        batch_size: samples a batch.
        workers: processes; without any there is nothing to hand over.
        folder: where shared memory lives; without it the system has another kind, and nothing is checked.

    Raises:
        WorkersFailed: too little is free.
    """
    if not workers or not folder.is_dir():
        return
    item_bytes = tensor_bytes(dataset[SampleKey(0, derived_seed(0, 0, 0), 0)])
    needed, free = item_bytes * batch_size * PREFETCHED * workers, shutil.disk_usage(folder).free
    if free < needed:
        raise WorkersFailed(
            f"{folder}: expected {_in_words(needed)} free for {workers} workers with {PREFETCHED} batches of "
            f"{batch_size} samples each, got {_in_words(free)}: {REMEDY}"
        )


def tensor_bytes(item: Any) -> int:
    """Bytes of all tensors in a tuple, list or dict of them."""
    if isinstance(item, Tensor):
        return item.element_size() * item.numel()
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, (tuple, list)) else ()
    return sum(tensor_bytes(part) for part in parts)


@contextmanager
def worker_faults() -> Iterator[None]:
    """Faults in workers as one line; torch would give the worker's traceback, or the pids of the dead.

    Raises:
        WorkersFailed: workers that died, or gave nothing for the loader's timeout.
    """
    try:
        yield
    except FovealError as error:
        if (text := str(error)).startswith("Caught ") and "Original Traceback" in text:
            raise type(error)(text.rstrip().rpartition("\n")[2].partition(": ")[2]) from None
        raise
    except RuntimeError as error:
        text = str(error)
        if "DataLoader worker" in text or "DataLoader timed out" in text:
            raise WorkersFailed(f"{text.splitlines()[0].strip()}: {REMEDY}") from None
        raise


def _in_words(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
