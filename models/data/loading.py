"""Data loaders whose order and randomness are functions of (seed, epoch, position) alone.

So a run is the same with any number of worker processes, and a resumed run continues exactly as an uninterrupted one,
without saving the state of any random generator.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from foveal.errors import BadRecipe
from foveal.models.data.distributed import ALONE, World

STUCK_S = 600  # without a batch: no image takes so long, so the workers hang
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SampleKey:
    """One sample of an epoch: which one, and the seed of its augmentation."""

    index: int
    seed: int
    epoch: int  # from 0


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global generator seeded inside, as it was outside (torchvision's transforms know no other)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def derived_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers, well mixed."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


class SampleKeySampler(Sampler[SampleKey]):
    """A seeded permutation of `count` samples, another one each epoch. Lightning calls `set_epoch`.

    With `shares` (count,), as many samples drawn with these probabilities instead, some of them several times, each
    time augmented anew. Of several processes each has its share: the same number, so that none waits for another.
    """

    def __init__(self, count: int, seed: int, world: World = ALONE, shares: Shares | None = None) -> None:
        self._count, self._seed, self._world, self._epoch, self._shares = count, seed, world, 0, shares

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count // self._world.size

    def __iter__(self) -> Iterator[SampleKey]:
        epoch = self._epoch
        random = np.random.default_rng(derived_seed(self._seed, epoch))
        keys: list[tuple[int, tuple[int, ...]]]  # index, and what the seed is derived from
        if self._shares is None:
            keys = [(index, (index,)) for index in random.permutation(self._count).tolist()]
        else:
            drawn = random.choice(self._count, self._count, p=self._shares).tolist()
            keys = [(index, (index, position)) for position, index in enumerate(drawn)]
        for index, parts in self._world.share(keys[: len(self) * self._world.size]):
            yield SampleKey(index, derived_seed(self._seed, epoch, *parts), epoch)


def train_loader(
    dataset: Dataset[Any],
    count: int,
    batch_size: int,
    collate: Any,
    *,
    seed: int,
    workers: int,
    world: World = ALONE,
    shares: Shares | None = None,
) -> Any:
    """Samples in seeded order; the rest that fills no batch is left to other epochs (BatchNorm needs larger ones).

    Args:
        dataset: `dataset[SampleKey]`.
        count: of samples.
        batch_size: over all processes; each has an equal share of every batch.
        collate: items -> batch.
        seed: of order and augmentation.
        workers: processes that prepare items.
        world: the processes that train together.
        shares: (count,) probabilities to draw samples with; None: each sample once an epoch.

    Raises:
        BadRecipe: the processes cannot share a batch evenly.
    """
    if batch_size % world.size:
        raise BadRecipe(f"batch_size: expected a multiple of the {world.size} processes, got {batch_size}")
    return DataLoader(
        dataset,
        batch_size=batch_size // world.size,
        sampler=SampleKeySampler(count, seed, world, shares),
        drop_last=count > batch_size,
        collate_fn=collate,
        num_workers=workers,
        timeout=STUCK_S if workers else 0,
        persistent_workers=workers > 0,
        generator=torch.Generator(),  # else every epoch would take a number from the global generator
    )


def eval_loader(dataset: Dataset[Any], batch_size: int, collate: Any) -> Any:
    """All samples in order."""
    return DataLoader(dataset, batch_size=batch_size, collate_fn=collate, generator=torch.Generator())
