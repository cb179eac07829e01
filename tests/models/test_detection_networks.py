"""Detectors on tiny model inputs: their own parts against torchvision's, and the contract of every architecture."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from foveal.errors import BadRecipe, UnknownName
from foveal.models.detection import anchors
from foveal.models.detection.networks.architectures import ARCHITECTURES, build
from foveal.models.detection.networks.onestage import OneStageDetector, decode_boxes
from foveal.models.detection.networks.pyramid import PyramidPool
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe

INPUT_HW = (64, 96)


def recipe(architecture: str, **fields: object) -> DetectionRecipe:
    kind = InstanceRecipe if architecture == "maskrcnn" else DetectionRecipe
    small = {
        "backbone": "mobilenet_v2",
        "input_hw": INPUT_HW,
        "pyramid_channels": 16,
        "box_head_width": 16,
        "proposals": 20,
    }
    return kind(architecture=architecture, **{**small, **fields})


@pytest.fixture(scope="module")
def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {name: build(recipe(name), classes=2, weights="none") for name in ARCHITECTURES}


def batch() -> tuple[torch.Tensor, torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Three model inputs: two objects, none, and one in an image that fills 3 rows of its model input."""
    images = torch.randint(0, 255, (3, *INPUT_HW, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = [[[5.0, 5, 50, 40], [30, 20, 90, 60]], [], [[10.0, 0, 30, 3]]]
    targets = [
        {
            "boxes": torch.tensor(b, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.arange(1, len(b) + 1),
            "masks": torch.ones(len(b), *INPUT_HW, dtype=torch.uint8),
        }
        for b in boxes
    ]
    return images, torch.tensor([[64.0, 96.0], [64.0, 80.0], [3.0, 96.0]]), targets


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_training_gives_finite_losses_and_gradients_past_the_frozen_level(
    networks: dict[str, torch.nn.Module], name: str
) -> None:
    network = networks[name].train()
    images, content_hw, targets = batch()
    torch.manual_seed(1)
    losses = network(images, content_hw, targets)
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    body = network.get_submodule("backbone.body.body")
    assert all(p.grad is None for layer in list(body.children())[:4] for p in layer.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in body[10].parameters())
    network.zero_grad()


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_detections_are_ordered_inside_the_content_and_the_same_alone_and_in_a_batch(
    networks: dict[str, torch.nn.Module], name: str
) -> None:
    network = networks[name].eval()
    images, content_hw, _ = batch()
    with torch.inference_mode():
        together = network(images, content_hw)
        alone = [network(images[i : i + 1], content_hw[i : i + 1])[0] for i in range(3)]
    assert sum(len(found["scores"]) for found in together) > 0
    for found, single, (height, width) in zip(together, alone, content_hw.tolist(), strict=True):
        x1, y1, x2, y2 = found["boxes"].T
        assert ((x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height) & (x1 <= x2) & (y1 <= y2)).all()
        assert (found["scores"].diff() <= 0).all()
        assert found["labels"].dtype == torch.int64
        assert set(found["labels"].tolist()) <= {0, 1}
        assert len(found["scores"]) == len(single["scores"])
        torch.testing.assert_close(found["scores"], single["scores"], atol=1e-5, rtol=1e-4)
        assert ("masks" in found) == (name == "maskrcnn")
        if "masks" in found:
            assert found["masks"].shape == (len(found["scores"]), 28, 28)


def test_pyramid_pool_is_torchvisions_where_that_knows_the_strides() -> None:
    torch.manual_seed(0)
    features = {f"p{i}": torch.randn(2, 8, 512 // s, 512 // s) for i, s in enumerate((4, 8, 16, 32))}
    corner = torch.rand(2, 40, 2) * 200
    boxes = [torch.cat((c, c + 1 + torch.rand(40, 2) ** 2 * 300), 1) for c in corner]
    for canonical in (112, 224):
        theirs = MultiScaleRoIAlign(list(features), 7, 2, canonical_scale=canonical, canonical_level=4)
        mine = PyramidPool(strides=(4, 8, 16, 32), levels=list(features), output_px=7, canonical_px=canonical)
        expected = theirs(features, boxes, [(512, 512)] * 2)
        torch.testing.assert_close(mine(features, boxes), expected)
        assert len(mine.level_of(boxes[0]).unique()) > 1


def test_decoding_on_tensors_is_the_written_out_one() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (2, 30, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(1, 40, (2, 30, 2))), -1)
    offsets = rng.normal(0, 3, (2, 30, 4))
    got = decode_boxes(torch.tensor(offsets), torch.tensor(boxes), (10.0, 10.0, 5.0, 5.0)).numpy()
    np.testing.assert_allclose(got, anchors.decode(offsets, boxes, (10, 10, 5, 5)), rtol=1e-9)


def test_retinanet_finds_what_torchvisions_post_processing_finds(networks: dict[str, torch.nn.Module]) -> None:
    network = networks["retinanet"].eval()
    assert isinstance(network, OneStageDetector)
    images, content_hw, _ = batch()
    detector = network.detector
    with torch.inference_mode():
        got = network(images, content_hw)
        outputs = network._head(images)
        sizes = [end - start for start, end in network.ranges]
        split = {name: list(value.split(sizes, 1)) for name, value in outputs.items()}
        levels = [list(network.anchors.split(sizes))] * 3
        shapes = [(int(h), int(w)) for h, w in content_hw.tolist()]
        expected = detector.postprocess_detections(split, levels, shapes)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine["scores"], theirs["scores"])
        torch.testing.assert_close(mine["boxes"], theirs["boxes"], atol=1e-3, rtol=0)
        assert (mine["labels"] == theirs["labels"]).float().mean() > 0.99  # ties may swap


def test_anchors_of_a_input_are_the_written_out_grid(networks: dict[str, torch.nn.Module]) -> None:
    network = networks["ssdlite"]
    assert isinstance(network, OneStageDetector)
    generator = network.detector.anchor_generator
    cell = generator.cell_anchors[0].numpy()
    finest = anchors.grid_anchors(cell, (4, 6), 16)  # c4: stride 16 of 64 x 96
    np.testing.assert_allclose(network.anchors[: len(finest)].numpy(), finest)


def test_a_image_that_fills_a_extreme_aspect_ratio_of_its_input_is_pooled_at_the_right_scale(
    networks: dict[str, torch.nn.Module],
) -> None:
    network = networks["fasterrcnn"].eval()
    images, content_hw, _ = batch()
    with torch.inference_mode():
        first = network(images[2:], content_hw[2:])[0]  # 3 rows of content: torchvision's own pooling asserts here
        features = network.backbone(network.normalize(images[2:]))
        proposals, _ = network.rpn(ImageList(images[2:].permute(0, 3, 1, 2), [(3, 96)]), features)
    assert torch.isfinite(first["boxes"]).all()
    assert proposals[0][:, 3].max() <= 3


def test_recipes_that_fit_no_network_are_refused() -> None:
    with pytest.raises(UnknownName, match="choices: fasterrcnn"):
        build(recipe("yolo"), classes=1, weights="none")
    with pytest.raises(BadRecipe, match="belongs to instance-segmentation"):
        build(DetectionRecipe(architecture="maskrcnn"), classes=1, weights="none")
    with pytest.raises(BadRecipe, match="expected 5 for fasterrcnn, one a level, got 2"):
        build(recipe("fasterrcnn", anchor_sizes_px=(8, 16)), classes=1, weights="none")
    with pytest.raises(BadRecipe, match="multiples of 32"):
        DetectionRecipe.load(None, ["input_hw=[100, 96]"])
