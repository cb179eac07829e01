"""Training's evaluation input is production's input, to the bit."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from foveal.errors import BadData
from foveal.inference.pipeline import Pipeline
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.data.dataset import Sample
from foveal.models.data.model_inputs import ModelInputs
from tests.helpers.packages import colour_manifest


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample[int]]:
    """Images of many sizes and containers: reduced decode, shrinking, growing, odd shapes, grey, alpha."""
    root, rng, found = tmp_path_factory.mktemp("images"), np.random.default_rng(0), []
    sizes = [(300, 420), (33, 47), (64, 64), (900, 61), (1, 1), (130, 128)]
    for i, (height, width) in enumerate(sizes):
        for suffix, channels in ((".jpg", 3), (".jpg", 1), (".png", 4)):
            small = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), dtype=np.uint8)
            image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
            path = root / f"{i}-{channels}{suffix}"
            cv2.imwrite(str(path), image)
            found.append(Sample(path.name, path, i % 3))
    return found


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "center_crop"])
def test_evaluation_tensors_equal_the_predictors_bit_for_bit(samples: list[Sample[int]], mode: str) -> None:
    recipe = ClassificationRecipe.load(None, ["input_hw=[64, 64]", f"resize_mode={mode}"])
    trainer = ClassificationTrainer()
    session = SimpleNamespace(get_outputs=list)
    production = Pipeline(colour_manifest(preprocess=trainer.preprocess(recipe)).pipeline, session, "cpu")
    dataset = trainer.eval_set(samples, recipe)
    model_inputs, truths = trainer.collate([dataset[i] for i in range(len(samples))])
    assert model_inputs.dtype == torch.uint8
    assert truths.tolist() == [s.truth for s in samples]
    for sample, model_input in zip(samples, model_inputs, strict=True):
        assert np.array_equal(model_input.numpy(), production.prepare(sample.path.read_bytes()).model_input), (
            sample.name
        )


def test_with_and_without_cache_the_same(samples: list[Sample[int]]) -> None:
    preprocess = ClassificationTrainer().preprocess(ClassificationRecipe.load(None, ["input_hw=[40, 48]"]))
    cached, fresh = ModelInputs(samples, preprocess), ModelInputs(samples, preprocess, cache_bytes=0)
    assert len(cached) == len(fresh) == len(samples)
    for i in range(len(samples)):
        assert np.array_equal(cached[i], fresh[i])


def test_all_unreadable_images_in_one_message(samples: list[Sample[int]], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "cut.jpg").write_bytes(samples[0].path.read_bytes()[:200])
    (tmp_path / "empty.png").write_bytes(b"")
    broken = [Sample(p.name, p, 0) for p in sorted(tmp_path.iterdir())] + [Sample("gone.jpg", tmp_path / "gone.jpg", 0)]
    preprocess = ClassificationTrainer().preprocess(ClassificationRecipe.load(None, ["input_hw=[32, 32]"]))
    with pytest.raises(BadData, match="4 images cannot be read") as caught:
        ModelInputs([*samples, *broken], preprocess)
    for sample in broken:
        assert sample.name in str(caught.value)
