"""Training and export of semantic segmentation, on drawn towns small enough to learn in seconds."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from foveal.errors import BadData
from foveal.export.build import build
from foveal.export.evaluation.evaluate import evaluate, select
from foveal.export.segmentation import ClassMap, SegmentationExporter
from foveal.export.writing import Target
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import check_golden
from foveal.metrics.semantic import IGNORE
from foveal.models.data.loading import SampleKey
from foveal.models.data.source_images import SourceImage
from foveal.models.readers import READERS, load_data
from foveal.models.runs import load_run, train
from foveal.models.segmentation.items import AugmentedMaps, RandomParts, SourceMap
from foveal.models.segmentation.layouts import READER
from foveal.models.segmentation.losses import dice_loss
from foveal.models.segmentation.network import ARCHITECTURES
from foveal.models.segmentation.recipe import SegmentationRecipe
from foveal.models.segmentation.trainer import SegmentationTrainer
from foveal.packages.package import ModelPackage
from foveal.synth.write import Order, write_data_set

TRAINER = SegmentationTrainer()
SMALL = {"weights": "none", "input_hw": (64, 96), "batch_size": 2}


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "towns"
    write_data_set(Order("semantic-segmentation", "aerial", count=10, image_hw=(80, 112)), out)
    return out


def test_the_layout_is_read_with_its_lists(towns: Path) -> None:
    data = load_data(SegmentationRecipe(), towns)
    assert data.labels == ("land", "road", "building", "vegetation", "water")
    assert data.splits.counts() == {"train": 7, "val": 2, "test": 1}
    truth = data.splits.train[0].truth.read()
    assert truth.shape == (80, 112)
    assert "10 images" in data.notes[0]


@pytest.mark.parametrize("ignore", ["road", 1])
def test_an_ignored_class_is_no_label_and_counts_nowhere(towns: Path, ignore: str | int) -> None:
    plain = load_data(SegmentationRecipe(), towns)
    data = load_data(SegmentationRecipe(ignore=ignore), towns)
    assert data.labels == ("land", "building", "vegetation", "water")
    before, after = plain.splits.val[0].truth.read(), data.splits.val[0].truth.read()
    assert np.array_equal(after == IGNORE, before == 1)
    assert np.array_equal(after == 1, before == 2)
    with pytest.raises(BadData, match="expected a class of land"):
        load_data(SegmentationRecipe(ignore="sky"), towns)


def test_palette_pngs_are_read_by_their_indices(tmp_path: Path) -> None:
    write_data_set(Order("semantic-segmentation", "aerial", count=10, image_hw=(40, 40)), tmp_path / "d")
    path = tmp_path / "d" / "masks" / "aerial_00000.png"
    ids = np.asarray(Image.open(path))
    indexed = Image.fromarray(ids, "P")
    indexed.putpalette([9, 9, 9] * 256)
    indexed.save(path)
    assert np.array_equal(load_data(SegmentationRecipe(), tmp_path / "d").splits.train[0].truth.read(), ids)


def test_every_fault_is_reported_with_its_file(tmp_path: Path) -> None:
    root = tmp_path / "d"
    write_data_set(Order("semantic-segmentation", "aerial", count=10, image_hw=(40, 50)), root)
    clean = READER.findings(READER.read(root, SegmentationRecipe()), SegmentationRecipe())
    absent = [one for one in clean if one.kind == "empty label"]  # ten small images hold no building
    assert clean == absent
    (root / "masks" / "aerial_00001.png").unlink()
    Image.fromarray(np.zeros((50, 40), np.uint8)).save(root / "masks" / "aerial_00002.png")
    Image.fromarray(np.full((40, 50), 77, np.uint8)).save(root / "masks" / "aerial_00003.png")
    (root / "masks" / "aerial_00004.png").write_bytes(b"no png")
    reading = READER.read(root, SegmentationRecipe())
    faults = {one.kind: one for one in READER.findings(reading, SegmentationRecipe()) if one not in absent}
    expected = {
        "missing mask": ("00001", "got none"),
        "mask size": ("00002", "(40, 50)"),
        "class outside the list": ("00003", "ids below 5 (or 255), got 77"),
        "unreadable annotation": ("00004", "expected a mask in PNG"),
    }
    assert faults.keys() == expected.keys()
    for kind, (name, words) in expected.items():
        assert name in faults[kind].name
        assert words in faults[kind].detail
    with pytest.raises(BadData, match="not a data set to learn from"):
        load_data(SegmentationRecipe(), root)
    (root / "classes.txt").unlink()
    with pytest.raises(BadData, match=r"masks with the values 0, 1, .*: expected classes\.txt"):
        load_data(SegmentationRecipe(), root)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_logits_on_the_input(architecture: str) -> None:
    recipe = SegmentationRecipe(architecture=architecture, **SMALL)
    network = TRAINER.build(recipe, "abc", weights="none").eval()
    with torch.inference_mode():
        assert network(torch.zeros((2, 64, 96, 3), dtype=torch.uint8)).shape == (2, 3, 64, 96)


@pytest.mark.parametrize("distorted", [{}, {"rotate_deg": 30, "shear_deg": 10, "perspective": 0.2}])
def test_image_and_truth_are_augmented_together(distorted: dict[str, float]) -> None:
    """An image that shows its own truth still shows it afterwards."""
    recipe = SegmentationRecipe(input_hw=(64, 64), rotate_90=True, brightness=0, saturation=0, hue=0, **distorted)
    preprocess = TRAINER.preprocess(recipe)
    ids = np.kron(np.random.default_rng(0).integers(0, 2, (8, 8)), np.ones((8, 8))).astype(np.uint8)
    image = np.repeat(ids[:, :, None] * np.uint8(255), 3, axis=2)
    source = SourceMap(SourceImage(image, (64, 64)), ids)
    augmented = AugmentedMaps(RandomParts([source], recipe, preprocess), recipe)
    for seed in range(12):
        model_input, truth = augmented[SampleKey(0, seed, 0)]
        counted = truth != IGNORE
        shown = model_input[..., 0].float() > 127
        assert counted.any()
        assert (shown[counted] == (truth[counted] == 1)).float().mean() > 0.93  # edges are blended


def test_dice_loss_is_the_formula() -> None:
    torch.manual_seed(0)
    logits, truth = torch.randn(2, 3, 5, 7), torch.randint(0, 2, (2, 5, 7))
    truth[0, 0] = IGNORE
    shares, expected = F.softmax(logits, 1), []
    for k in (0, 1):  # class 2 is in no truth
        both = sum(shares[n, k, y, x] for n, y, x in (truth == k).nonzero().tolist())
        size = sum(shares[n, k, y, x] for n, y, x in (truth != IGNORE).nonzero().tolist()) + (truth == k).sum()
        expected.append((2 * both + 1) / (size + 1))
    assert dice_loss(logits, truth).item() == pytest.approx(1 - (sum(expected) / 2).item(), abs=1e-5)


def test_class_map_is_the_winner_and_its_probability() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]], [[0.0, 5.0]]]])

    ids, confidence = ClassMap(Fixed())(torch.zeros(1))
    assert ids.tolist() == [[[0, 2]]]
    shares = torch.tensor([[2.0, 0, 0], [0, 0, 5.0]]).softmax(1).max(1).values
    assert confidence.tolist() == [[(shares * 255).round().int().tolist()]]


def outputs(ids: np.ndarray, confidence: int = 200) -> dict[str, np.ndarray]:
    return {"class_map": ids, "confidence": np.full(ids.shape, confidence, np.uint8)}


def test_parity_bounds() -> None:
    compare, ids = SegmentationExporter().compare, np.zeros((100, 200), np.uint8)
    two, three = ids.copy(), ids.copy()
    two[0, :2], three[0, :3] = 1, 1
    assert compare([outputs(ids)], [outputs(two)]).failures == ()
    assert "class_map" in compare([outputs(ids)], [outputs(three)]).failures[0]
    assert "confidence" in compare([outputs(ids)], [outputs(ids, 198)]).failures[0]
    assert compare([outputs(ids)], [outputs(ids.T)]).failures


def test_from_drawings_to_a_proved_package(towns: Path, tmp_path: Path) -> None:
    """Two epochs, export, and the package scores as the checkpoint did."""
    recipe = SegmentationRecipe(**SMALL, epochs=2, frozen_epochs=0, lr_head=3e-3, lr_backbone=3e-3)
    train(recipe, towns, tmp_path / "run")
    assert (tmp_path / "run" / "samples.png").exists()
    checkpoint = load_run(tmp_path / "run")
    held_out = load_data(recipe, towns).splits.test
    build(checkpoint, held_out, Target.of(tmp_path / "zoo" / "towns" / "1"), max_batch=2)
    package = ModelPackage.open(tmp_path / "zoo" / "towns" / "1")
    predictor = Predictor(package)
    check_golden(predictor)
    data = READERS["semantic-segmentation"].load(towns, recipe)
    scores = evaluate(predictor, select(data, "test", package.manifest.labels))
    recorded = package.manifest.metrics
    for name, value in scores.values.items():
        assert value == pytest.approx(recorded.values[name], abs=1e-6)
        assert value == pytest.approx(recorded.checkpoint_values[name], abs=1e-3)
