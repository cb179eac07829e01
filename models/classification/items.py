"""Samples as model inputs with class ids: augmented for training, as in production for evaluation."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from foveal.imaging.preprocess import Preprocess
from foveal.models.classification.augmentation import RandomParts
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.data.model_inputs import ModelInputs


class EvalInputs(Dataset[tuple[Tensor, int]]):
    """Model inputs as production makes them: item i is (uint8 (H, W, 3), class id)."""

    def __init__(self, samples: Sequence[Sample[int]], preprocess: Preprocess) -> None:
        self._inputs = ModelInputs(samples, preprocess)
        self._truths = [sample.truth for sample in samples]

    def __len__(self) -> int:
        return len(self._truths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._inputs[index]), self._truths[index]


class TrainInputs(Dataset[tuple[Tensor, int]]):
    """Model inputs, augmented; an item is a function of its key.

    Args:
        samples: for their truths.
        inputs: index -> (H, W, 3) uint8, with torch's generator seeded: as in production, or random parts of images.
        augment: changes a (3, H, W) uint8 model input.
    """

    def __init__(
        self, samples: Sequence[Sample[int]], inputs: ModelInputs | RandomParts, augment: v2.Transform
    ) -> None:
        self._truths = [sample.truth for sample in samples]
        self._inputs, self._augment = inputs, augment

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, int]:
        with seeded(key.seed):
            model_input = torch.from_numpy(self._inputs[key.index])
            planes = self._augment(model_input.permute(2, 0, 1))
        return planes.permute(1, 2, 0).contiguous(), self._truths[key.index]
