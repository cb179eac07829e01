from pathlib import Path

import numpy as np
import pytest
import torch

from foveal.errors import BadRecipe
from foveal.models.classification.augmentation import augmentation
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey
from tests.helpers.images import draw_folders

TRAINER = ClassificationTrainer()
OFF = ["scale_min=1", "flip=false", "rotate_deg=0", "brightness=0", "saturation=0", "hue=0", "erase=0"]


def recipe(*overrides: str) -> ClassificationRecipe:
    return ClassificationRecipe.load(None, ["input_hw=[48, 64]", "backbone=squeezenet1_1", *overrides])


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample[int]]:
    root = draw_folders(tmp_path_factory.mktemp("drawn") / "set", per_class=3)
    return [Sample(p.name, p, 0) for p in sorted(root.rglob("*.png"))]


def test_network_reads_inputs_and_its_two_parts_are_everything() -> None:
    network = TRAINER.build(recipe(), ("a", "b", "c"), weights="none").eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 48, 64, 3, dtype=torch.uint8)).shape == (2, 3)
    head = [n for n, _ in network.named_parameters() if not n.startswith("backbone.")]
    assert head == ["head.weight", "head.bias"]


def test_mirrored_answers_are_the_mean_of_both_and_do_not_touch_training() -> None:
    torch.manual_seed(0)
    plain = TRAINER.build(recipe("dropout=0"), ("a", "b", "c"), weights="none")
    mirrored = TRAINER.build(recipe("dropout=0", "tta=flip"), ("a", "b", "c"), weights="none")
    mirrored.load_state_dict(plain.state_dict())
    images = torch.randint(0, 256, (4, 48, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(mirrored.train()(images), plain.train()(images))
        plain.eval(), mirrored.eval()
        expected = (plain(images) + plain(images.flip(2))) / 2  # (N, H, W, 3): columns turned
        torch.testing.assert_close(mirrored(images), expected)
        assert not torch.allclose(plain(images), expected, atol=1e-6)


def test_mirror_images_need_a_training_that_saw_them() -> None:
    with pytest.raises(BadRecipe, match="tta: expected flip = true"):
        recipe("tta=flip", "flip=false")


def test_a_new_head_starts_at_the_theoretical_loss() -> None:
    """-log(1 / classes): all classes equally likely."""
    torch.manual_seed(0)
    network = TRAINER.build(recipe(), tuple("abcdefgh"), weights="none").eval()
    batch = torch.randint(0, 256, (8, 48, 64, 3), dtype=torch.uint8), torch.arange(8)
    loss = TRAINER.loss(network, batch, recipe("label_smoothing=0"))["cross_entropy"]
    assert loss.item() == pytest.approx(np.log(8), rel=0.05)


def test_too_small_a_input() -> None:
    with pytest.raises(BadRecipe, match=r"at least 32 px.*\(16, 64\)"):
        TRAINER.build(recipe("input_hw=[16, 64]"), ("a", "b"), weights="none")


def test_all_augmentation_off_is_the_evaluation_input(samples: list[Sample[int]]) -> None:
    plain, augmented = TRAINER.eval_set(samples, recipe(*OFF)), TRAINER.train_set(samples, recipe(*OFF))
    for i in range(len(samples)):
        assert torch.equal(augmented[SampleKey(i, 1, 0)][0], plain[i][0])


@pytest.mark.parametrize(
    "field",
    [
        "scale_min=0.5",
        "flip=true",
        "rotate_deg=30",
        "shear_deg=20",
        "perspective=0.4",
        "brightness=0.5",
        "hue=0.3",
        "erase=1",
        "policy=trivial-augment",
        "policy=rand-augment",
        "policy=aug-mix",
    ],
)
def test_each_augmentation_alone_changes_images_by_its_draws_seed(samples: list[Sample[int]], field: str) -> None:
    dataset = TRAINER.train_set(samples, recipe(*OFF, field))
    drawn = [dataset[SampleKey(0, seed, 0)][0] for seed in range(8)]
    assert all(model_input.shape == (48, 64, 3) and model_input.dtype == torch.uint8 for model_input in drawn)
    assert len({model_input.numpy().tobytes() for model_input in drawn}) > 1
    assert torch.equal(dataset[SampleKey(0, 5, 3)][0], drawn[5])


def test_augmentation_on_training_leaves_evaluation_alone(samples: list[Sample[int]]) -> None:
    strong = recipe("rotate_deg=90", "erase=1")
    TRAINER.train_set(samples, strong)[SampleKey(0, 0, 0)]
    assert torch.equal(TRAINER.eval_set(samples, strong)[0][0], TRAINER.eval_set(samples, recipe(*OFF))[0][0])
    assert len(augmentation(recipe(*OFF), TRAINER.preprocess(recipe())).transforms) == 1


def test_score_counts_hits_and_nats() -> None:
    truth = [Sample(str(i), Path(str(i)), t) for i, t in enumerate((0, 1, 1, 2))]
    logits = list(np.array([[4, 0, 0], [0, 4, 0], [4, 0, 0], [0, 0, 4]], np.float32))
    right = np.log(1 + 2 * np.exp(-4.0))
    scores = TRAINER.score(logits, truth, "abc", recipe())
    assert scores["accuracy"] == 0.75
    assert scores["loss"] == pytest.approx((3 * right + right + 4) / 4)
