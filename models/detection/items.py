"""Samples as model inputs with targets: augmented for training, as in production for evaluation."""

from collections.abc import Sequence
from typing import TypedDict

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from foveal.imaging.decode import Decoded, decode
from foveal.imaging.preprocess import ImageTransform, Preprocess
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import Sample
from foveal.models.data.loading import SampleKey, seeded
from foveal.models.data.model_inputs import ModelInputs
from foveal.models.data.warping import RandomWarp, production_matrix, warp_boxes, warp_image, warp_map
from foveal.models.detection.augmentation import MIN_VISIBLE, Augmentation, Scene, usable
from foveal.models.detection.layouts.truth import UInt8Array, bitmaps
from foveal.models.detection.mosaic import boxes_of, copy_paste, mosaic
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe


class Item(TypedDict, total=False):
    """One model input. `target` in training only."""

    image: Tensor  # (H, W, 3) uint8
    content_hw: Tensor  # (2,) float32
    target: dict[str, Tensor]


class Batch(TypedDict):
    """What the network reads."""

    images: Tensor  # (N, H, W, 3) uint8
    content_hw: Tensor  # (N, 2) float32
    targets: list[dict[str, Tensor]]  # N in training, none in evaluation


def collate(items: list[Item]) -> Batch:
    """Stack model inputs; targets stay a list, since images hold different numbers of objects."""
    return {
        "images": torch.stack([item["image"] for item in items]),
        "content_hw": torch.stack([item["content_hw"] for item in items]),
        "targets": [item["target"] for item in items if "target" in item],
    }


def transform_of(image_hw: tuple[int, int], preprocess: Preprocess) -> ImageTransform:
    """The letterbox' geometry for an image of this size, without its pixels."""
    assert preprocess.mode == "letterbox"
    content_hw = preprocess.resized_hw(image_hw)
    scale_xy = (content_hw[1] / image_hw[1], content_hw[0] / image_hw[0])
    return ImageTransform(image_hw, preprocess.input_hw, content_hw, scale_xy)


class EvalItems(Dataset[Item]):
    """Model inputs as production makes them."""

    def __init__(self, samples: Sequence[Sample[ObjectTruth]], preprocess: Preprocess) -> None:
        self._inputs = ModelInputs(samples, preprocess)
        self._content_hw = [preprocess.resized_hw(sample.truth.image_hw) for sample in samples]

    def __len__(self) -> int:
        return len(self._content_hw)

    def __getitem__(self, index: int) -> Item:
        content_hw = torch.tensor(self._content_hw[index], dtype=torch.float32)
        return {"image": torch.from_numpy(self._inputs[index]), "content_hw": content_hw}


class TrainItems(Dataset[Item]):
    """Augmented, then letterboxed by the same Preprocess; an item is a function of its key."""

    def __init__(self, samples: Sequence[Sample[ObjectTruth]], preprocess: Preprocess, recipe: DetectionRecipe) -> None:
        self._samples, self._preprocess, self._recipe = samples, preprocess, recipe
        self._augment = Augmentation(recipe, preprocess.padding_rgb)
        self._warp = RandomWarp(recipe.rotate_deg, recipe.shear_deg, recipe.perspective)
        self._masks = isinstance(recipe, InstanceRecipe)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: SampleKey) -> Item:
        with seeded(key.seed):
            scene = self._augment(self._composed(key))
            if not self._warp.is_off:
                return warped_item(scene, self._preprocess, self._warp)
        return training_item(scene, self._preprocess)

    def _composed(self, key: SampleKey) -> Scene:
        """The sample's image, or a mosaic of it and three others, perhaps with objects of another one pasted on."""
        recipe = self._recipe
        composing = key.epoch < recipe.epochs - recipe.plain_epochs
        scene = self._scene(key.index)
        if composing and float(torch.rand(())) < recipe.mosaic:
            scene = mosaic([scene, *(self._other() for _ in range(3))], self._preprocess.padding_rgb)
        if composing and isinstance(recipe, InstanceRecipe) and float(torch.rand(())) < recipe.copy_paste:
            scene = copy_paste(scene, self._other())
        return scene

    def _other(self) -> Scene:
        return self._scene(int(torch.randint(len(self._samples), ())))

    def _scene(self, index: int) -> Scene:
        return load_scene(self._samples[index], self._preprocess, masks=self._masks)


class UnaugmentedItems(Dataset[Item]):
    """Items of training without augmentation."""

    def __init__(self, samples: Sequence[Sample[ObjectTruth]], preprocess: Preprocess, *, masks: bool) -> None:
        self._samples, self._preprocess, self._masks = samples, preprocess, masks

    def __getitem__(self, index: int) -> Item:
        return training_item(load_scene(self._samples[index], self._preprocess, masks=self._masks), self._preprocess)


def load_scene(sample: Sample[ObjectTruth], preprocess: Preprocess, *, masks: bool) -> Scene:
    """The image, decoded as production does (masks: in full), with the objects that can be learned from."""
    truth = sample.truth
    decoded = decode(sample.path.read_bytes(), target_hw=None if masks else preprocess.decode_target)
    height, width = decoded.rgb.shape[:2]
    scale = np.array([width / truth.image_hw[1], height / truth.image_hw[0]] * 2, np.float32)
    boxes = np.clip(truth.boxes_xyxy * scale, 0, np.array([width, height] * 2, np.float32))
    scene = Scene(decoded.rgb, boxes, truth.class_ids, bitmaps(truth) if masks else None)
    return usable(scene.keep(~truth.crowd))


def training_item(scene: Scene, preprocess: Preprocess) -> Item:
    """Letterbox image, boxes and masks; labels count from 1, as torchvision's losses expect."""
    model_input, transform = preprocess.apply(Decoded.of_array(scene.rgb))
    masks = None if scene.masks is None else _input_masks(scene.masks, transform)
    boxes = transform.to_input(scene.boxes_xyxy)
    return _item(Scene(model_input, boxes, scene.class_ids, masks), transform.content_hw)


def warped_item(scene: Scene, preprocess: Preprocess, warp: RandomWarp) -> Item:
    """The same with the content distorted around its centre; letterbox and distortion resample once.

    Boxes are those around the moved corners, of objects with masks those around the mask. Objects of which too little
    is left inside are dropped.
    """
    height, width = content_hw = preprocess.resized_hw(scene.rgb.shape[:2])
    matrix = warp.draw((0, 0, width, height), content_hw)
    matrix = matrix @ production_matrix(preprocess, scene.rgb.shape[:2], scene.rgb.shape[:2])
    moved = warp_boxes(scene.boxes_xyxy, matrix)
    boxes = np.clip(moved, 0, np.array([width, height] * 2, np.float32))
    visible = np.prod(boxes[:, 2:] - boxes[:, :2], 1) >= MIN_VISIBLE * np.prod(moved[:, 2:] - moved[:, :2], 1)
    model_input = np.full((*preprocess.input_hw, 3), preprocess.padding_rgb, np.uint8)
    model_input[:height, :width] = warp_image(scene.rgb, matrix, content_hw, preprocess.padding_rgb)
    masks = None
    if scene.masks is not None:
        masks = np.zeros((len(scene.masks), *preprocess.input_hw), np.uint8)
        for into, mask in zip(masks, scene.masks, strict=True):
            into[:height, :width] = warp_map(mask, matrix, content_hw, 0)
        boxes = boxes_of(masks, boxes)
    return _item(usable(Scene(model_input, boxes, scene.class_ids, masks).keep(visible)), content_hw)


def _item(scene: Scene, content_hw: tuple[int, int]) -> Item:
    """A scene in model-input pixels as the network reads it."""
    target = {"boxes": torch.from_numpy(scene.boxes_xyxy), "labels": torch.from_numpy(scene.class_ids + 1)}
    if scene.masks is not None:
        target["masks"] = torch.from_numpy(scene.masks)
    return {
        "image": torch.from_numpy(scene.rgb),
        "content_hw": torch.tensor(content_hw, dtype=torch.float32),
        "target": target,
    }


def _input_masks(masks: UInt8Array, transform: ImageTransform) -> UInt8Array:
    """(M, H, W) 0 or 1 -> (M, model input H, model input W), resampled linearly and cut at a half."""
    resized = np.zeros((len(masks), *transform.input_hw), np.uint8)
    height, width = transform.content_hw
    for into, mask in zip(resized, masks, strict=True):
        soft = cv2.resize(mask * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
        into[:height, :width] = soft >= 128
    return resized
