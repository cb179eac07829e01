"""Mosaic and copy-paste: new scenes out of several, for small data sets.

Mosaic (Bochkovskiy et al., YOLOv4, 2020, section 3.3) lays four images around a random point: objects appear smaller,
in other surroundings and cut by borders. What it shows is not what is met in production, so the last epochs go without
(Ge et al., YOLOX, 2021). Copy-paste (Ghiasi et al., CVPR 2021) moves objects along their masks onto another image: a
rare object then has many backgrounds, and overlaps are learned.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from foveal.models.detection.augmentation import MIN_VISIBLE, Scene, usable
from foveal.models.detection.layouts.truth import UInt8Array
from foveal.results import FloatArray

CENTRE = (0.35, 0.65)  # where the four images meet, as a share of the sides
PASTED_SHARE = 0.5  # of the other image's objects, at most


def mosaic(scenes: Sequence[Scene], fill_rgb: tuple[int, int, int]) -> Scene:
    """Four scenes around a point on an image of the first one's size; each is scaled to cover its quarter and cut.

    Args:
        scenes: four; all with masks or all without.
        fill_rgb: never seen, unless an image is narrower than a pixel.
    """
    height, width = scenes[0].rgb.shape[:2]
    low, high = CENTRE
    cx, cy = (int(side * (low + (high - low) * float(torch.rand(())))) for side in (width, height))
    rgb = np.full((height, width, 3), fill_rgb, np.uint8)
    windows = ((0, 0, cx, cy), (cx, 0, width, cy), (0, cy, cx, height), (cx, cy, width, height))
    parts = []
    for scene, (left, top, right, bottom) in zip(scenes, windows, strict=True):
        part = _cover(scene, (bottom - top, right - left))
        rgb[top:bottom, left:right] = part.rgb
        parts.append(_moved(part, left, top, (height, width)))
    return joined(rgb, parts)


def copy_paste(onto: Scene, source: Scene) -> Scene:
    """Some of `source`'s objects, with their pixels, onto `onto`; what they hide of older objects is cut away.

    Both need masks. The source is scaled to the same size, so that its objects keep their proportions to the image.
    """
    assert onto.masks is not None
    height, width = onto.rgb.shape[:2]
    source = _cover(source, (height, width))
    assert source.masks is not None
    chosen = torch.rand(len(source.class_ids)).numpy() < PASTED_SHARE * float(torch.rand(()))
    pasted = source.keep(chosen)
    assert pasted.masks is not None
    if not len(pasted.class_ids):
        return onto
    hidden = np.asarray(pasted.masks.any(0))
    rgb = np.where(hidden[..., None], source.rgb, onto.rgb)
    left = onto.masks & ~hidden
    before = np.maximum(onto.masks.sum((1, 2)), 1)
    seen = Scene(rgb, boxes_of(left, onto.boxes_xyxy), onto.class_ids, left).keep(
        left.sum((1, 2)) >= MIN_VISIBLE * before
    )
    return usable(joined(rgb, [seen, pasted]))


def joined(rgb: UInt8Array, parts: Sequence[Scene]) -> Scene:
    """The objects of several scenes on one image of the same size."""
    masks = None
    if all(part.masks is not None for part in parts):
        masks = np.concatenate([part.masks for part in parts if part.masks is not None])
    boxes = np.concatenate([part.boxes_xyxy for part in parts])
    return Scene(rgb, boxes, np.concatenate([part.class_ids for part in parts]), masks)


def boxes_of(masks: UInt8Array, otherwise: FloatArray) -> FloatArray:
    """(M, 4) around each mask's pixels; `otherwise` where none is left."""
    boxes = otherwise.copy()
    for i, mask in enumerate(masks):
        ys, xs = np.nonzero(mask)
        if len(xs):
            boxes[i] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return boxes


def _cover(scene: Scene, size_hw: tuple[int, int]) -> Scene:
    """Scaled, proportions kept, until it covers the size; then cut out at a random place."""
    height, width = scene.rgb.shape[:2]
    scale = max(size_hw[0] / height, size_hw[1] / width)
    big_hw = (max(size_hw[0], round(height * scale)), max(size_hw[1], round(width * scale)))
    top, left = (int(float(torch.rand(())) * (big - cut + 1)) for big, cut in zip(big_hw, size_hw, strict=True))
    window = np.s_[top : top + size_hw[0], left : left + size_hw[1]]
    area = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    rgb = cv2.resize(scene.rgb, big_hw[::-1], interpolation=area)[window]
    factors = np.array([big_hw[1] / width, big_hw[0] / height] * 2, np.float32)
    masks = None
    if scene.masks is not None:
        resized = [cv2.resize(m, big_hw[::-1], interpolation=cv2.INTER_NEAREST)[window] for m in scene.masks]
        masks = np.stack(resized) if resized else np.zeros((0, *size_hw), np.uint8)
    return _cut(Scene(np.ascontiguousarray(rgb), scene.boxes_xyxy * factors, scene.class_ids, masks), left, top)


def _cut(scene: Scene, left: int, top: int) -> Scene:
    """Boxes into a window whose pixels are cut out already; objects of which too little is left are gone."""
    height, width = scene.rgb.shape[:2]
    moved = scene.boxes_xyxy - np.array([left, top] * 2, np.float32)
    boxes = np.clip(moved, 0, np.array([width, height] * 2, np.float32))
    visible = np.prod(boxes[:, 2:] - boxes[:, :2], 1) >= MIN_VISIBLE * np.prod(moved[:, 2:] - moved[:, :2], 1)
    return usable(Scene(scene.rgb, boxes, scene.class_ids, scene.masks).keep(visible))


def _moved(scene: Scene, left: int, top: int, image_hw: tuple[int, int]) -> Scene:
    """The objects of a part in the pixels of the whole."""
    boxes = scene.boxes_xyxy + np.array([left, top] * 2, np.float32)
    masks = None
    if scene.masks is not None:
        height, width = scene.rgb.shape[:2]
        masks = np.zeros((len(scene.masks), *image_hw), np.uint8)
        masks[:, top : top + height, left : left + width] = scene.masks
    return Scene(scene.rgb, boxes, scene.class_ids, masks)
