"""What only imported models have: ways of NMS, graphs without `content_hw`, mask prototypes, colours as stored."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torchvision.ops import nms as torchvision_nms

from foveal.imaging.decode import decode
from foveal.imaging.preprocess import ImageTransform, Preprocess
from foveal.options import Defaults, Options
from foveal.packages.manifest import PipelineSpec, Tensor
from foveal.tasks import task_of
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import PrototypeMasks
from tests.helpers.icc import D65_XY, SRGB_XY, rgb_profile

PREPROCESS = Preprocess(mode="stretch", input_hw=(100, 200), reduced_decode=False)
TRANSFORM = ImageTransform((50, 100), (100, 200), (100, 200), (2.0, 2.0))


def spec(nms: Any, task: str = "object-detection", labels: int = 100) -> PipelineSpec:
    images = Tensor(name="images", dtype="uint8", shape=(1, 100, 200, 3))
    defaults = Defaults(score_threshold=0.1, iou_threshold=0.5, max_detections=300)
    names = tuple(map(str, range(labels)))
    return PipelineSpec(task=task, labels=names, preprocess=PREPROCESS, defaults=defaults, inputs=(images,), nms=nms)


def boxes(count: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, (160, 70), (count, 2))
    xyxy = np.concatenate([corner, corner + random.uniform(5, 60, (count, 2))], 1).astype(np.float32)
    scores = random.permutation(np.linspace(0.15, 0.95, count)).astype(np.float32)
    return {"boxes": xyxy, "scores": scores, "class_ids": random.integers(0, 100, count)}


def decoded(outputs: dict[str, npt.NDArray[Any]], kind: PipelineSpec) -> Detections:
    task = task_of(kind.task)
    options = Options().resolved(kind.defaults)
    found = task.decode(outputs, TRANSFORM, kind, options)
    assert isinstance(found, Detections)
    return found


@pytest.mark.parametrize("nms", ["none", "agnostic", "per_class_offset", "per_class"])
def test_ways_of_nms(nms: str) -> None:
    outputs = boxes(250)
    kept = torch.from_numpy(outputs["boxes"])
    if nms == "per_class_offset":  # Ultralytics: boxes + class * 7680, in float32
        kept = kept + torch.from_numpy(outputs["class_ids"])[:, None].float() * 7680
    if nms == "per_class":
        kept = kept + torch.from_numpy(outputs["class_ids"])[:, None].double() * 7680
    order = torchvision_nms(kept, torch.from_numpy(outputs["scores"]).to(kept.dtype), 0.5)
    expected = np.sort(outputs["scores"]) if nms == "none" else outputs["scores"][order.numpy()]
    found = decoded(outputs, spec(nms))
    np.testing.assert_array_equal(np.sort(found.scores), np.sort(expected))


def test_a_box_in_the_padding_suppresses_and_is_not_answered() -> None:
    """It hides a worse one that reaches into the image, as it does in the framework."""
    outputs = {
        "boxes": np.array([[200, 10, 260, 50], [199, 10, 259, 50]], np.float32),
        "scores": np.array([0.9, 0.8], np.float32),
        "class_ids": np.array([1, 1]),
    }
    assert len(decoded(outputs, spec("per_class"))) == 0
    assert len(decoded(outputs, spec("none"))) == 1


def test_graphs_without_content_hw_get_images_alone() -> None:
    task = task_of("object-detection")
    prepared: Any = type("P", (), {"model_input": np.zeros((100, 200, 3), np.uint8), "transform": TRANSFORM})()
    assert set(task.feeds([prepared], [Options()], spec("none"))) == {"images"}


@pytest.mark.parametrize(("image_hw", "input_hw"), [((60, 90), (64, 96)), ((90, 60), (64, 64)), ((33, 101), (96, 128))])
def test_prototype_masks_are_those_of_the_whole_image(image_hw: tuple[int, int], input_hw: tuple[int, int]) -> None:
    """Oracle: Ultralytics' documented steps, on whole maps in torch: enlarge, cut the padding off, enlarge, crop."""
    values = {"mode": "letterbox", "padding_position": "center", "rounding": "half_even", "interpolation": "bilinear"}
    preprocess = Preprocess(input_hw=input_hw, reduced_decode=False, **values)
    _, transform = preprocess.apply(decode(png(np.zeros((*image_hw, 3), np.uint8))))
    random = np.random.default_rng(0)
    prototypes = random.normal(size=(8, input_hw[0] // 4, input_hw[1] // 4)).astype(np.float32)
    coefficients = random.normal(size=(5, 8)).astype(np.float32)
    height, width = image_hw
    corners = random.uniform(0, 0.6, (5, 2)) * (width, height)
    xyxy = np.concatenate([corners, corners + random.uniform(3, 0.4 * min(image_hw), (5, 2))], 1).astype(np.float32)
    masks = PrototypeMasks(coefficients, prototypes, transform)
    maps = torch.einsum("nk,khw->nhw", torch.from_numpy(coefficients), torch.from_numpy(prototypes))[None]
    large = torch.nn.functional.interpolate(maps, scale_factor=4, mode="bilinear")
    top, left = transform.content_yx
    content = large[..., top : top + transform.content_hw[0], left : left + transform.content_hw[1]]
    whole = torch.nn.functional.interpolate(content, image_hw, mode="bilinear")[0] > 0
    rows, columns = np.arange(height)[:, None], np.arange(width)
    for i, (x1, y1, x2, y2) in enumerate(xyxy):
        inside = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        got = masks.bitmap(i, xyxy[i], image_hw).full()
        assert (got != (whole[i].numpy() & inside)).mean() < 2e-3
        assert masks.visible(xyxy, image_hw)[i] == (got.sum() > 0)


def test_objects_without_a_mask_are_dropped() -> None:
    outputs = boxes(3) | {
        "coefficients": np.array([[1.0], [-1.0], [1.0]], np.float32),
        "prototypes": np.ones((1, 25, 50), np.float32),
    }
    found = decoded(outputs, spec("none", "instance-segmentation"))
    assert len(found) == 2
    assert found[0].mask is not None
    assert found[:1] == found[:1]
    assert found[:1] != found[1:]
    assert replace(found, masks=None) != found


def test_colours_as_stored() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG", icc_profile=rgb_profile(SRGB_XY, D65_XY, lambda stored: stored))
    np.testing.assert_array_equal(decode(file.getvalue(), colour_managed=False).rgb, rgb)
    assert (decode(file.getvalue()).rgb != rgb).mean() > 0.5


def png(rgb: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()
