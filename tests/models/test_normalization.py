import numpy as np
import torch

from foveal.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from foveal.models.backbones.normalization import Normalize


def test_normalize_is_the_textbook_formula_and_has_no_weights() -> None:
    model_input = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    module = Normalize(IMAGENET_MEAN, IMAGENET_STD)
    wanted = (model_input / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    got = module(torch.from_numpy(model_input))
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), wanted.transpose(0, 3, 1, 2), atol=2e-6)
    assert not module.state_dict()


def test_lite0_constants_are_its_published_input() -> None:
    model_input = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    got = Normalize((127 / 255,) * 3, (128 / 255,) * 3)(model_input)[0, 0]
    torch.testing.assert_close(got, ((torch.arange(256.0) - 127) / 128).view(16, 16))
