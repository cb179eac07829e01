"""Data parallel: several processes train one network, each on its share of every batch.

`torchrun --nproc-per-node 2 --no-python foveal train …` starts them (torch/elastic); Lightning's DDP averages
gradients. A recipe's batch_size stays what one step sees over all processes, so that the number of processes changes
the speed and not the training. On GPUs BatchNorm is synchronised; on CPUs torch has no such layer: freeze it
(freeze_batchnorm).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of this training; alone unless torchrun started several."""

    rank: int = 0
    size: int = 1
    local_size: int = 1  # on this machine

    @property
    def is_first(self) -> bool:
        """Only this process writes and logs."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Every size-th item; `gathered` puts the answers together again."""
        return items[self.rank :: self.size]

    def gathered(self, answers: Sequence[T]) -> list[T]:
        """The answers of all processes to their shares, in the order of the items. All must call it."""
        if self.size == 1:
            return list(answers)
        shares: list[Sequence[T]] = [[]] * self.size
        dist.all_gather_object(shares, answers)
        whole: list[T] = [answers[0]] * sum(map(len, shares)) if answers else []
        for rank, share in enumerate(shares):
            whole[rank :: self.size] = share
        return whole

    def from_first(self, value: T) -> T:
        """The first process' value, in every process. All must call it."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]


ALONE = World()


@contextmanager
def world() -> Iterator[World]:
    """Join the processes that torchrun started with this one, for as long as the context lasts."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    try:
        yield World(dist.get_rank(), size, int(os.environ["LOCAL_WORLD_SIZE"]))
    finally:
        dist.destroy_process_group()
