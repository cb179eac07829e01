"""Random geometry: production's pixels when nothing is drawn, antialiased, images, maps and boxes alike, files only."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from foveal.imaging.decode import Decoded
from foveal.imaging.preprocess import Preprocess
from foveal.models.classification.augmentation import RandomParts
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import Sample
from foveal.models.data.source_images import SampleCache, halved, source_image
from foveal.models.data.warping import RandomWarp, production_matrix, warp_boxes, warp_image, warp_map
from foveal.models.detection.augmentation import Scene
from foveal.models.detection.items import training_item, warped_item

STRETCH = Preprocess(mode="stretch", input_hw=(96, 128))
GREY = (128, 128, 128)


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size_hw", [(96, 128), (100, 140), (190, 260), (301, 437), (700, 900)])
def test_undistorted_it_is_productions_resize(size_hw: tuple[int, int]) -> None:
    rgb = smooth_image(*size_hw)
    expected, _ = STRETCH.apply(Decoded.of_array(rgb))
    matrix = RandomWarp().draw((0, 0, 128, 96), (96, 128)) @ production_matrix(STRETCH, size_hw, size_hw)
    difference = np.abs(warp_image(rgb, matrix, (96, 128), GREY).astype(int) - expected)
    inner = difference[1:-1, 1:-1]  # at the border, linear taps see the fill
    assert inner.mean() < 1.0
    assert inner.max() < 16


def test_fine_stripes_become_grey_instead_of_a_pattern() -> None:
    rgb = np.zeros((960, 1280, 3), np.uint8)
    rgb[:, ::2] = 255
    matrix = RandomWarp(rotate_deg=20).draw((0, 0, 128, 96), (96, 128)) @ production_matrix(
        STRETCH, (960, 1280), (960, 1280)
    )
    inside = warp_image(rgb, matrix, (96, 128), GREY)[30:66, 40:88]
    assert inside.std() < 12
    aliased = cv2.warpAffine(rgb, matrix[:2], (128, 96))[30:66, 40:88]
    assert aliased.std() > 60  # what one sample a pixel would show


@pytest.mark.parametrize("angle", [-30.0, 12.0, 45.0])
def test_a_rotation_is_torchvisions(angle: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = smooth_image(96, 96)
    monkeypatch.setattr("foveal.models.data.warping.uniform", lambda low, high: angle)
    matrix = RandomWarp(rotate_deg=90).draw((0, 0, 96, 96), (96, 96))
    planes = torch.from_numpy(rgb).permute(2, 0, 1)
    expected = v2.functional.rotate(planes, angle, InterpolationMode.BILINEAR, fill=list(GREY)).permute(1, 2, 0).numpy()
    difference = np.abs(warp_image(rgb, matrix, (96, 96), GREY).astype(int) - expected)
    assert np.percentile(difference, 98) <= 6  # OpenCV's coordinates have 5 bits behind the point
    assert difference.mean() < 1.5


def test_images_maps_and_boxes_move_alike() -> None:
    """A white rectangle: its box and its map land where its pixels do."""
    for seed in range(30):
        torch.manual_seed(seed)
        rgb, ids = np.zeros((200, 300, 3), np.uint8), np.zeros((200, 300), np.uint8)
        rgb[80:120, 130:190], ids[80:120, 130:190] = 255, 1
        warp = RandomWarp(rotate_deg=40, shear_deg=15, perspective=0.3)
        matrix = warp.draw((20, 10, 260, 180), (144, 208))
        shown = warp_image(rgb, matrix, (144, 208), (0, 0, 0))[..., 0] > 127
        mapped = warp_map(ids, matrix, (144, 208), 255)
        assert (shown == (mapped == 1)).mean() > 0.99
        box = warp_boxes(np.array([[130, 80, 190, 120]], np.float32), matrix)[0]
        ys, xs = np.nonzero(shown)
        np.testing.assert_allclose(box, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), atol=2.0)


def test_a_distorted_scene_keeps_objects_on_their_pixels() -> None:
    preprocess = Preprocess(mode="letterbox", input_hw=(128, 160))
    rgb, mask = np.zeros((200, 300, 3), np.uint8), np.zeros((1, 200, 300), np.uint8)
    rgb[50:120, 130:190], mask[0, 50:120, 130:190] = (255, 0, 0), 1
    boxes, class_ids = np.array([[130, 50, 190, 120]], np.float32), np.array([2])
    for seed in range(20):
        torch.manual_seed(seed)
        warp = RandomWarp(rotate_deg=180, shear_deg=10, perspective=0.2)
        item = warped_item(Scene(rgb, boxes, class_ids, mask), preprocess, warp)
        red = (item["image"][..., 0] > 190) & (item["image"][..., 1] < 60)
        assert (item["target"]["masks"][0].bool() == red).float().mean() > 0.985
        ys, xs = np.nonzero(red.numpy())
        expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        np.testing.assert_allclose(item["target"]["boxes"][0].numpy(), expected, atol=2.5)
        assert item["target"]["labels"].tolist() == [3]


def test_an_undistorted_scene_is_the_letterbox() -> None:
    preprocess = Preprocess(mode="letterbox", input_hw=(128, 160))
    scene = Scene(smooth_image(200, 304), np.array([[10, 20, 90, 150]], np.float32), np.array([0]), None)
    exact, warped = training_item(scene, preprocess), warped_item(scene, preprocess, RandomWarp())
    assert torch.allclose(exact["target"]["boxes"], warped["target"]["boxes"], atol=1e-3)
    assert torch.equal(exact["content_hw"], warped["content_hw"])
    assert (exact["image"].int() - warped["image"].int()).abs().float().mean() < 1.5


def test_what_leaves_the_image_is_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.models.data.warping.uniform", lambda low, high: 45.0)
    preprocess = Preprocess(mode="letterbox", input_hw=(128, 128))
    boxes = np.array([[0, 0, 16, 16], [56, 56, 72, 72]], np.float32)  # the corner turns out of the square
    scene = Scene(smooth_image(128, 128), boxes, np.array([0, 1]), None)
    assert warped_item(scene, preprocess, RandomWarp(rotate_deg=45))["target"]["labels"].tolist() == [2]


def photo(folder: Path, size_hw: tuple[int, int]) -> Sample[int]:
    folder.mkdir(exist_ok=True)
    path = folder / f"{size_hw[0]}x{size_hw[1]}.jpg"
    data = io.BytesIO()
    Image.fromarray(smooth_image(*size_hw)).save(data, "JPEG", quality=95)
    path.write_bytes(data.getvalue())
    return Sample(path.name, path, 0)


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "center_crop"])
@pytest.mark.parametrize("size_hw", [(640, 480), (300, 900), (40, 56)])
def test_random_parts_of_every_shape_show_the_image(tmp_path: Path, mode: str, size_hw: tuple[int, int]) -> None:
    shorter = 110 if mode == "center_crop" else None
    preprocess = Preprocess(mode=mode, input_hw=(96, 96), shorter_px=shorter, mean=(0, 0, 0))
    recipe = ClassificationRecipe(scale_min=0.3, rotate_deg=0)
    parts = RandomParts([photo(tmp_path, size_hw)], preprocess, recipe)
    for seed in range(20):
        torch.manual_seed(seed)
        shown = parts[0]
        assert shown.shape == (96, 96, 3)
        if mode != "letterbox":  # nothing but the image: its padding would be black
            assert (shown.max(2) > 0).mean() > 0.95


def test_a_part_carries_the_files_detail_and_not_that_of_a_small_model_input(tmp_path: Path) -> None:
    """A crop of a fourth of a large photo is sharper than the same crop of the model input."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rgb = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 1.2)
    Image.fromarray(rgb).save(folder / "a.png")
    sample = Sample("a.png", folder / "a.png", 0)
    preprocess = Preprocess(mode="stretch", input_hw=(128, 128))
    parts = RandomParts([sample], preprocess, ClassificationRecipe(scale_min=0.25, rotate_deg=0))
    small, _ = preprocess.apply(Decoded.of_array(rgb))
    sharp, blurred = [], []
    for seed in range(12):
        torch.manual_seed(seed)
        sharp.append(cv2.Laplacian(parts[0], cv2.CV_32F).std())
        torch.manual_seed(seed)
        crop = v2.RandomResizedCrop((128, 128), scale=(0.25, 1), antialias=True)(
            torch.from_numpy(small).permute(2, 0, 1)
        )
        blurred.append(cv2.Laplacian(crop.permute(1, 2, 0).numpy(), cv2.CV_32F).std())
    assert np.mean(sharp) > 1.2 * np.mean(blurred)


def test_large_images_are_kept_at_what_training_can_show() -> None:
    rgb = smooth_image(1000, 1600)
    assert halved(Decoded.of_array(rgb), (120, 200)).shape == (125, 200, 3)
    assert halved(Decoded.of_array(rgb), (600, 900)).shape == rgb.shape


def test_what_does_not_fit_into_memory_is_decoded_again(tmp_path: Path) -> None:
    samples = [photo(tmp_path, (64 + 8 * i, 96)) for i in range(4)]

    def make(sample: Sample[int]) -> object:
        return source_image(sample, STRETCH, 1.0)

    all_kept, none_kept = SampleCache(samples, make), SampleCache(samples, make, cache_bytes=0)
    for i in range(4):
        assert none_kept[i] is not none_kept[i]
        assert all_kept[i] is all_kept[i]
        assert np.array_equal(all_kept[i].rgb, none_kept[i].rgb)
