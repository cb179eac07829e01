"""What `foveal data view` shows and counts, on drawn data sets of every task; colours against NumPy's covariance."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.errors import BadOutput
from foveal.imaging.drawing import colour_of
from foveal.metrics.semantic import IGNORE
from foveal.metrics.truth import ObjectTruth
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.classification.trainer import ClassificationTrainer
from foveal.models.data.colour import ColourJitterAlongComponents, colours_of
from foveal.models.data.dataset import DataSet, Sample, Splits
from foveal.models.data.loading import SampleKey
from foveal.models.detection.trainer import DetectionTrainer
from foveal.models.segmentation.trainer import SegmentationTrainer
from foveal.models.view.figures import Counted
from tests.helpers.commandline import foveal

STYLES = {
    "classification": ("shapes", "folders"),
    "semantic-segmentation": ("aerial", "masks"),
    "object-detection": ("blood", "yolo"),
    "instance-segmentation": ("nuclei", "idmaps"),
}
SMALL = ["--set", "input_hw=[96, 96]", "--set", "val_fraction=0.25", "--set", "test_fraction=0.25"]


@pytest.mark.parametrize("task", STYLES)
def test_every_task_is_looked_at(task: str, tmp_path: Path) -> None:
    style, layout = STYLES[task]
    words = ["--task", task, "--style", style, "--layout", layout, "--count", 18, "--out", tmp_path / "data"]
    assert foveal("data", "synth", *words)[0] == 0
    more = ["--set", "mosaic=1"] if task == "object-detection" else []
    out = tmp_path / "view"
    words = [tmp_path / "data", "--task", task, "--out", out, "--count", 5, "--json", *SMALL, *more]
    code, printed, talk = foveal("data", "view", *words)
    assert code == 0, talk
    figures = json.loads(printed)
    assert figures == json.loads((out / "view.json").read_text())
    assert sum(figures["images"].values()) == 18
    if task == "classification":
        folders = {path.name: len(list(path.iterdir())) for path in (tmp_path / "data").iterdir() if path.is_dir()}
        counted = [figures["classes"][split] for split in ("train", "val", "test")]
        assert {label: sum(split[label] for split in counted) for label in folders} == folders
    assert all(0 < value < 1 for value in (*figures["mean_rgb"], *figures["std_rgb"]))
    sheets = [np.asarray(Image.open(out / f"{name}.png").convert("RGB")) for name in ("samples", "augmented")]
    assert sheets[0].shape[1] == sheets[1].shape[1]
    assert sheets[0].shape != sheets[1].shape or (sheets[0] != sheets[1]).any()
    assert (out / "histograms.png").stat().st_size > 5000
    assert ("object_px" in figures) == (task in ("object-detection", "instance-segmentation"))
    with pytest.raises(BadOutput, match="does not exist yet"):
        foveal("data", "view", *words)


def test_sizes_of_objects_are_those_of_masks_or_boxes_and_crowds_are_no_objects(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    boxes = np.array([[0, 0, 10, 10], [0, 0, 40, 10], [5, 5, 8, 17], [0, 0, 64, 48]], np.float32)
    crowd = np.array([False, False, False, True])
    ids = np.array([0, 0, 1, 1])
    for areas, ring in ((None, 6), (np.array([25, 400, 16, 1.0]), 4)):
        truth = ObjectTruth(boxes, ids, (48, 64), iscrowd=crowd, areas_px=areas)
        sample = Sample("a.png", tmp_path / "a.png", truth)
        data = DataSet("x", "yolo", ("disc", "ring", "rod"), Splits((sample,), (), ()), "sha256:0")
        colours = colours_of([np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)])
        counted = Counted(data, {"train": Counter(disc=2, ring=2)}, colours, DetectionTrainer())
        sides = counted.described()["object_px"]
        assert sides["ring"] == {"smallest": ring, "median": ring, "largest": ring}
        assert sides["disc"]["smallest"] == (10 if areas is None else 5)
        assert sides["disc"]["largest"] == 20
        assert "rod" not in sides
        counted.draw_histograms(tmp_path / "histograms.png")
        with Image.open(tmp_path / "histograms.png") as drawn:
            assert drawn.width == 4 * 500  # a panel each for classes, images, objects and colours


def test_maps_and_masks_are_tinted_where_they_are() -> None:
    grey = torch.full((8, 8, 3), 100, dtype=torch.uint8)
    truth = torch.full((8, 8), IGNORE, dtype=torch.uint8)
    truth[:2], truth[2:4] = 0, 1
    rgb, caption = SegmentationTrainer().panel((grey, truth), ("sea", "land"))
    assert caption == "sea, land"
    for row, class_id in ((0, 0), (3, 1)):
        assert (rgb[row] == ((100 + np.array(colour_of(class_id))) / 2).astype(np.uint8)).all()
    assert (rgb[4:] == 100).all()
    assert (grey == 100).all()

    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[0, 4:6, 4:6] = 1
    target = {"boxes": torch.tensor([[3.0, 3.0, 6.0, 6.0]]), "labels": torch.tensor([2]), "masks": mask}
    rgb, caption = DetectionTrainer().panel({"image": grey, "target": target}, ("sea", "land"))
    assert caption == "1 land"
    assert rgb[3, 3].tolist() == list(colour_of(1))
    assert (rgb[4, 4] != 100).any()
    assert (rgb[0] == 100).all()


def test_colours_are_numpys_mean_and_covariance() -> None:
    random = np.random.default_rng(0)
    mixing = np.array([[60, 50, 40], [20, -10, 5], [2, 3, -8]])
    pixels = np.clip(random.normal(size=(4, 30, 20, 3)) @ mixing + 120, 0, 255).astype(np.uint8)
    found = colours_of(pixels)
    flat = pixels.reshape(-1, 3) / 255
    np.testing.assert_allclose(found.mean, flat.mean(axis=0))
    np.testing.assert_allclose(found.std, flat.std(axis=0))
    again = found.directions @ np.diag(found.component_std**2) @ found.directions.T
    np.testing.assert_allclose(again, np.cov(flat.T, bias=True), atol=1e-12)
    assert found.component_std[0] > found.component_std[1] > found.component_std[2] > 0


def test_shifts_along_components_spread_as_asked() -> None:
    """Many shifts of one grey: their covariance is sigma squared times the data set's."""
    random = np.random.default_rng(1)
    pixels = np.clip(random.normal(size=(64, 64, 3)) @ np.diag([50, 40, 30]) + 128, 0, 255).astype(np.uint8)
    colours = colours_of([pixels])
    jitter = ColourJitterAlongComponents(colours, sigma=0.5)
    torch.manual_seed(0)
    grey = torch.full((3, 1, 1), 128, dtype=torch.uint8)
    shifts = np.stack([jitter(grey).numpy().ravel() for _ in range(4000)]).astype(float)
    np.testing.assert_allclose(shifts.std(axis=0), 0.5 * colours.std * 255, rtol=0.06)
    whole = jitter(torch.randint(60, 200, (3, 5, 7), dtype=torch.uint8))
    assert whole.dtype == torch.uint8


def test_colour_pca_alone_shifts_a_image_as_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    samples = []
    for i in range(4):
        Image.fromarray(random.integers(90, 160, (40, 40, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        samples.append(Sample(f"{i}.png", tmp_path / f"{i}.png", 0))
    off = ["scale_min=1", "flip=false", "rotate_deg=0", "brightness=0", "saturation=0", "hue=0", "erase=0"]
    recipe = ClassificationRecipe.load(None, ["input_hw=[32, 32]", "colour_pca=1", *off])
    trainer = ClassificationTrainer()
    plain, drawn = trainer.eval_set(samples, recipe)[2][0], trainer.train_set(samples, recipe)[SampleKey(2, 5, 0)][0]
    shift = drawn.int() - plain.int()
    assert (shift.amax((0, 1)) - shift.amin((0, 1)) <= 1).all()  # one colour for the whole image, rounded
    assert shift.abs().max() > 0
