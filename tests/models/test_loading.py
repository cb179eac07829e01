import numpy as np
import torch
from torch.utils.data import Dataset

from foveal.models.data.loading import SampleKey, SampleKeySampler, derived_seed, eval_loader, seeded, train_loader


class Noise(Dataset[tuple[int, float]]):
    """Each item: which sample, and a random number of its draw."""

    def __getitem__(self, draw: SampleKey) -> tuple[int, float]:
        with seeded(draw.seed):
            return draw.index, float(torch.rand(()))


def batches(*, workers: int, epoch: int, seed: int = 0) -> list[list[tuple[int, float]]]:
    loader = train_loader(Noise(), 10, 4, list, seed=seed, workers=workers)
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_the_same_with_any_number_of_workers() -> None:
    assert batches(workers=0, epoch=3) == batches(workers=2, epoch=3)


def test_order_and_randomness_follow_seed_and_epoch_only() -> None:
    first = batches(workers=0, epoch=0)
    torch.rand(7)  # the global generator has no say
    assert batches(workers=0, epoch=0) == first
    for other in (batches(workers=0, epoch=1), batches(workers=0, epoch=0, seed=1)):
        assert [i for b in other for i, _ in b] != [i for b in first for i, _ in b]
        assert not {v for b in other for _, v in b} & {v for b in first for _, v in b}


def test_an_epoch_is_a_permutation_and_the_rest_that_fills_no_batch_is_dropped() -> None:
    sampler = SampleKeySampler(10, 0)
    assert sorted(draw.index for draw in sampler) == list(range(10))
    assert [len(batch) for batch in batches(workers=0, epoch=0)] == [4, 4]
    assert len(list(train_loader(Noise(), 3, 4, list, seed=0, workers=0))) == 1  # fewer samples than a batch


def test_seeded_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = torch.rand(1)
    with seeded(1):
        torch.rand(10)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_derived_seeds_differ() -> None:
    seeds = {derived_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_eval_keeps_order_and_everything() -> None:
    found = [value for batch in eval_loader(np.arange(7), 3, list) for value in batch]
    assert found == list(range(7))
