"""Detectors that nobody trained but that answer as trained ones do: tiny, with scores spread from 0 to 1."""

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from foveal.models.backbones.normalization import Normalize
from foveal.models.detection.networks import architectures
from foveal.models.detection.networks.onestage import OneStageDetector
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.tasks import trainer_of
from foveal.models.training.checkpoint import Checkpoint
from foveal.packages.manifest import Data, Licences

CLASSES = ("disc", "ring", "rod")
TINY = {
    "input_hw": (96, 128),
    "pyramid_channels": 16,
    "anchor_ratios": (0.5, 1.0, 2.0),
    "canonical_px": 48.0,
    "proposals_before_nms": 100,
    "proposals": 120,
    "box_head_width": 32,
}


class TinyBody(nn.Module):
    """A backbone of five convolutions: {"c2" … "c5"} at strides 4 to 32, with BatchNorm that has seen something."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 8, 12, 16, 16)
        self.channels = dict(zip(("c2", "c3", "c4", "c5"), widths[1:], strict=True))
        self.stem = _block(3, widths[0])
        self.stages = nn.ModuleList(_block(a, b) for a, b in pairwise(widths))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.stem(images)
        maps = {}
        for name, stage in zip(self.channels, self.stages, strict=True):
            x = maps[name] = stage(x)
        return maps


def _block(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def tiny(architecture: str) -> Checkpoint:
    """A checkpoint around a tiny network."""
    torch.manual_seed(0)
    kind = InstanceRecipe if architecture == "maskrcnn" else DetectionRecipe
    head = {"mask_head_width": 16} if architecture == "maskrcnn" else {}
    recipe = kind(architecture=architecture, backbone="mobilenet_v2", **TINY, **head)
    spec = architectures.architecture(recipe)
    anchors = architectures.anchors_of(recipe)
    network = spec.build(recipe, TinyBody(), Normalize((0.5,) * 3, (0.25,) * 3), anchors, len(CLASSES))
    return checkpoint(network, recipe)


def real(architecture: str, backbone: str, **fields: object) -> Checkpoint:
    """A checkpoint around a network of full size with random weights."""
    torch.manual_seed(0)
    kind = InstanceRecipe if architecture.startswith("maskrcnn") else DetectionRecipe
    recipe = kind(architecture=architecture, backbone=backbone, **fields)
    return checkpoint(architectures.build(recipe, classes=len(CLASSES), weights="none"), recipe)


def checkpoint(network: nn.Module, recipe: DetectionRecipe) -> Checkpoint:
    images, content_hw = blobs(recipe.input_hw, 4, seed=99)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # running statistics become those of these images
    body = network.get_submodule("backbone")
    with torch.no_grad():
        body.train()(network.normalize(images))
        network.eval()
        _spread(network, images, content_hw)
    trainer = trainer_of(recipe.task)
    return Checkpoint(
        network=network,
        trainer=trainer,
        recipe=recipe,
        task=recipe.task,
        architecture=trainer.architecture(recipe),
        labels=CLASSES,
        preprocess=trainer.preprocess(recipe),
        data=Data(name="blobs", layout="none", fingerprint="sha256:0", images={}),
        licences=Licences(data="none: drawn", weights="none: random"),
        seed=0,
    )


def _spread(network: nn.Module, images: Tensor, content_hw: Tensor) -> None:
    """Random heads give nearly the same for every box, and ties cannot be compared: scale their outputs."""

    def scale(layers: list[nn.Module], std: float, mean: float) -> None:
        said: list[Tensor] = []
        hooks = [layer.register_forward_hook(lambda _m, _i, output: said.append(output.flatten())) for layer in layers]
        network(images, content_hw)
        for hook in hooks:
            hook.remove()
        everything = torch.cat(said)
        factor = std / everything.std()
        for layer in layers:
            layer.weight.mul_(factor)
            layer.bias.add_(-layer.bias + (layer.bias - everything.mean()) * factor + mean)

    if isinstance(network, OneStageDetector):
        head = network.detector.head
        scale(_last_convolutions(head.classification_head), 1.5, 0.0 if network.softmax else -3.0)
        scale(_last_convolutions(head.regression_head), 0.5, 0.0)
        return
    heads = network.roi_heads
    heads.score_thresh = 0.0
    scale([network.rpn.head.cls_logits], 3.0, 0.0)
    scale([network.rpn.head.bbox_pred], 0.3, 0.0)
    scale([heads.box_predictor.cls_score], 2.0, 0.0)
    scale([heads.box_predictor.bbox_pred], 1.0, 0.0)
    if heads.has_mask():
        scale([heads.mask_predictor.mask_fcn_logits], 2.0, 0.0)


def _last_convolutions(head: nn.Module) -> list[nn.Module]:
    """The layers that speak: a shared one (RetinaNet) or one a level (SSD)."""
    for name in ("cls_logits", "bbox_reg"):
        if hasattr(head, name):
            return [getattr(head, name)]
    return [[m for m in level.modules() if isinstance(m, nn.Conv2d)][-1] for level in head.module_list]


def blobs(input_hw: tuple[int, int], count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Model inputs (N, H, W, 3) uint8 of 0, 1 or many things; content_hw (N, 2) float32, some smaller."""
    random = np.random.default_rng(seed)
    height, width = input_hw
    images = random.integers(100, 130, (count, height, width, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        for _ in range((0, 1, 14)[number % 3]):
            centre, size = random.integers(0, min(input_hw), 2).tolist(), random.integers(3, 24, 2).tolist()
            colour = random.integers(0, 255, 3).tolist()
            cv2.ellipse(image, centre, size, float(random.integers(0, 180)), 0, 360, colour, cv2.FILLED)
    content_hw = np.array([input_hw, (height, width // 2), (3, width), input_hw], np.float32)
    return torch.from_numpy(images), torch.from_numpy(np.resize(content_hw, (count, 2)))
