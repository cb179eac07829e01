"""Samples as model inputs with class ids: augmented for training, as in production for evaluation."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.data.model_inputs import ModelInputs, UInt8Array


class EvalInputs(Dataset[tuple[Tensor, int]]):
    """Model inputs as production makes them: item i is (uint8 (H, W, 3), class id)."""

    def __init__(self, samples: Sequence[Sample[int]], preprocess: Preprocess) -> None:
        self._inputs = ModelInputs(samples, preprocess)
        self._truths = [sample.truth for sample in samples]

    def __len__(self) -> int:
        return len(self._truths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._inputs[index]), self._truths[index]

    def every(self, at_most: int) -> Iterator[UInt8Array]:
        """Model inputs spread evenly over the samples."""
        step = -(-len(self) // at_most)
        return (self._inputs[i] for i in range(0, len(self), step))


class TrainInputs(Dataset[tuple[Tensor, int]]):
    """The same model inputs, augmented; an item is a function of its key."""

    def __init__(self, inputs: EvalInputs, augment: v2.Transform) -> None:
        self._inputs, self._augment = inputs, augment

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, int]:
        model_input, truth = self._inputs[key.index]
        with seeded(key.seed):
            planes = self._augment(model_input.permute(2, 0, 1))
        return planes.permute(1, 2, 0).contiguous(), truth
