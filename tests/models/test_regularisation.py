"""What keeps a network from learning by heart, each against its definition; losses against numerical gradients."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchvision.ops import StochasticDepth

from foveal.errors import BadRecipe
from foveal.models.backbones import load_features
from foveal.models.backbones.depth import drop_branches
from foveal.models.classification.augmentation import blend
from foveal.models.classification.losses import focal_loss
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.runs import load_run, train
from foveal.models.segmentation.losses import dice_loss
from foveal.models.training.initialization import hasten_statistics, initialise
from foveal.models.training.module import l1_norm, running_mean
from foveal.models.training.run_folder import RunFolder, stale
from tests.helpers.images import draw_folders

TINY = [
    "backbone=lenet5_modern",
    "weights=none",
    "input_hw=[32, 32]",
    "batch_size=6",
    "epochs=4",
    "frozen_epochs=0",
    "val_fraction=0.25",
    "test_fraction=0.125",
]


def recipe(*overrides: str) -> ClassificationRecipe:
    return ClassificationRecipe.load(None, [*TINY, *overrides])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folders(tmp_path_factory.mktemp("drawn") / "discs", per_class=8)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, classes, shares = torch.randn(5, 4), torch.randint(4, (5,)), torch.rand(5, 4).softmax(1)
    for targets in (classes, shares):
        ours = focal_loss(logits, targets, gamma=0, label_smoothing=0.1)
        torch.testing.assert_close(ours, F.cross_entropy(logits, targets, label_smoothing=0.1))
    p = logits.softmax(1)[range(5), classes]
    torch.testing.assert_close(focal_loss(logits, classes, gamma=2), (-((1 - p) ** 2) * p.log()).mean())


def test_gradients_of_our_losses_are_the_numerical_ones() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    shares = torch.rand(3, 4, dtype=torch.float64).softmax(1)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, shares, gamma=2.0, label_smoothing=0.1), (logits,))
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    truths = torch.randint(0, 3, (2, 4, 4))
    assert torch.autograd.gradcheck(lambda x: dice_loss(x, truths), (maps,))


@pytest.mark.parametrize("field", ["mixup=0.4", "cutmix=1.0"])
def test_blends_give_each_class_its_share_of_the_image(field: str) -> None:
    """Images of one flat colour a class: the mean colour tells the shares."""
    torch.manual_seed(0)
    truths = torch.arange(6)
    model_inputs = (truths * 40).to(torch.uint8)[:, None, None, None].expand(6, 32, 32, 3).contiguous()
    mixed, shares = blend(model_inputs, truths, recipe(field), classes=6)
    assert mixed.shape == model_inputs.shape
    torch.testing.assert_close(shares.sum(1), torch.ones(6))
    assert ((shares > 0).sum(1) == 2).all()
    torch.testing.assert_close(mixed.mean((1, 2, 3)) / 40, shares @ truths.float(), atol=1e-3, rtol=0)


def test_evaluation_is_never_blended() -> None:
    strong = recipe("mixup=0.4", "cutmix=1.0", "label_smoothing=0")
    trainer = ClassificationTrainer()
    network = trainer.build(strong, ("a", "b", "c"), weights="none").eval()
    batch = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8), torch.arange(3)
    loss = trainer.loss(network, batch, strong)["cross_entropy"]
    torch.testing.assert_close(loss, F.cross_entropy(network(batch[0]), batch[1]))
    network.train()
    assert trainer.loss(network, batch, strong)["cross_entropy"] != loss


class TestStochasticDepth:
    @pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_b0"])
    def test_training_skips_branches_and_evaluation_does_not(self, name: str) -> None:
        torch.manual_seed(0)
        backbone, images = load_features(name, "none"), torch.rand(2, 3, 64, 64)
        names = list(backbone.state_dict())
        with torch.inference_mode():
            plain = backbone.eval()(images)
            drop_branches(backbone, 0.9, name=name)
            assert torch.equal(backbone(images), plain)
            backbone.train()
            for module in backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.0
            assert len({backbone(images).sum().item() for _ in range(4)}) > 1
        assert list(backbone.state_dict()) == names

    def test_the_chance_rises_linearly(self) -> None:
        backbone = load_features("efficientnet_b0", "none")
        drop_branches(backbone, 0.8, name="x")
        chances = [m.p for m in backbone.modules() if isinstance(m, StochasticDepth)]
        assert chances == pytest.approx([0.8 * (i + 1) / len(chances) for i in range(len(chances))])

    def test_a_plain_stack_is_refused(self) -> None:
        with pytest.raises(BadRecipe, match=r"residual branches, got lenet5_modern"):
            ClassificationTrainer().build(recipe("stochastic_depth=0.2"), "ab", weights="none")


@pytest.mark.parametrize(("init", "variance"), [("xavier", 2 / (30 * 9 + 40 * 9)), ("he", 2 / (40 * 9))])
def test_initialisation_has_its_published_variance(init: str, variance: float) -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(30, 40, 3), nn.BatchNorm2d(40))
    initialise(backbone, init)
    assert backbone[0].weight.var().item() == pytest.approx(variance, rel=0.05)
    assert backbone[0].bias.abs().max() == 0
    assert torch.equal(backbone[1].weight, torch.ones(40))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_lite0"])
def test_statistics_of_a_backbone_without_weights_follow_within_tens_of_steps(name: str) -> None:
    """Published with a momentum of 0.01: after 60 steps more than half of the starting variance of 1 would be left."""
    torch.manual_seed(0)
    backbone = load_features(name, "none")
    first = next(module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
    assert first.momentum == 0.01
    hasten_statistics(backbone)
    inputs = torch.randn(256, first.num_features, 4, 4) * 0.05
    for _ in range(60):
        first.train()(inputs)
    assert first.running_var.mean().item() == pytest.approx(0.05**2, rel=0.9)
    slower = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d) and m.momentum < 0.1]
    assert not slower


def test_swa_is_the_mean_of_the_weights() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, avg_fn=running_mean, use_buffers=True)
    for value in (3.0, -1.0, 7.0):
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(3.0)


def test_swa_averages_the_ends_of_the_last_epochs(data: Path, tmp_path: Path) -> None:
    """Of four epochs from half of the run on: what is kept after the last is the mean of epochs 3 and 4."""
    swa = recipe("swa_start=0.5", "schedule=constant")
    ends = []
    for epochs in (3, 4):
        train(swa.model_copy(update={"swa_start": None, "epochs": epochs}), data, tmp_path / f"plain{epochs}")
        ends.append(torch.load(tmp_path / f"plain{epochs}" / "last.pt", weights_only=True))
    train(swa, data, tmp_path / "swa")
    found = torch.load(tmp_path / "swa" / "last.pt", weights_only=True)
    for name, value in found.items():
        if not value.is_floating_point():  # BatchNorm's counter
            continue
        torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2, rtol=1e-4, atol=1e-6)
    load_run(tmp_path / "swa")


def test_l1_counts_what_learns_and_decays(data: Path, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    network[2].requires_grad_(False)
    nn.init.constant_(network[0].weight, -0.5)
    assert l1_norm(network).item() == pytest.approx(2.0)
    train(recipe("epochs=1", "l1=1e-3"), data, tmp_path / "run")
    row = RunFolder(tmp_path / "run").rows[0]
    assert row["loss"] == pytest.approx(row["loss_cross_entropy"] + row["loss_l1"])
    assert row["loss_l1"] > 0


def test_early_stopping_ends_a_run_that_does_not_improve(data: Path, tmp_path: Path) -> None:
    never = recipe("epochs=9", "patience=2", "lr_head=1e-12", "lr_backbone=0")
    result = train(never, data, tmp_path / "run")
    assert len(RunFolder(tmp_path / "run").rows) == result["best_epoch"] + 2 < 9
    values = [{"epoch": i + 1, "x": x} for i, x in enumerate((1.0, 3.0, 2.0, 2.5))]
    assert [stale(values, "x", patience) for patience in (None, 1, 2, 3)] == [False, True, True, False]


def test_half_precision_trains_and_is_refused_where_there_is_none(data: Path, tmp_path: Path) -> None:
    train(recipe("epochs=1", "precision=bf16-mixed"), data, tmp_path / "run")
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    if not torch.cuda.is_available():
        with pytest.raises(BadRecipe, match="expected a GPU for 16-mixed"):
            train(recipe("precision=16-mixed"), data, tmp_path / "other")
