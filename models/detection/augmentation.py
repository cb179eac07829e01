"""Augmentation (`Augmentation`) of an image together with its boxes and masks, by torchvision's v2 transforms.

They act on the image before Foveal's own letterbox, so that what the network sees in training is made by the same
resize and padding as in production.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from foveal.models.detection.layouts.truth import UInt8Array
from foveal.models.detection.recipe import DetectionRecipe
from foveal.results import FloatArray

MIN_SIDE_PX = 1.0  # smaller boxes carry no pixel and break box encoding (log of zero)
MIN_VISIBLE = 0.25  # share of an object that must be left after a crop for it to stay an object


@dataclass(frozen=True)
class Scene:
    """An image in memory with its objects, in the pixels of `rgb`."""

    rgb: UInt8Array  # (H, W, 3)
    boxes_xyxy: FloatArray  # (M, 4)
    class_ids: npt.NDArray[np.int64]  # (M,)
    masks: UInt8Array | None  # (M, H, W) 0 or 1

    def keep(self, rows: Any) -> "Scene":
        """Only the objects of a boolean (M,) or an index array."""
        masks = None if self.masks is None else self.masks[rows]
        return Scene(self.rgb, self.boxes_xyxy[rows], self.class_ids[rows], masks)


class Augmentation:
    """Scene -> Scene; what the recipe turns off is absent. Randomness is torch's global generator."""

    def __init__(self, recipe: DetectionRecipe, fill_rgb: tuple[int, int, int]) -> None:
        self._rotate_90 = recipe.rotate_90
        fill = {key: list(fill_rgb) for key in (tv_tensors.Image,)} | {tv_tensors.Mask: 0}
        steps: list[Any] = [v2.Identity()]
        if recipe.flip:
            steps.append(v2.RandomHorizontalFlip())
        if recipe.flip_vertical:
            steps.append(v2.RandomVerticalFlip())
        if recipe.scale_jitter:
            jitter = ScaleJitter(recipe.scale_jitter_max, fill)
            steps.append(v2.RandomApply([jitter], recipe.scale_jitter))
        if recipe.zoom_out:
            steps.append(v2.RandomZoomOut(fill, (1.0, recipe.zoom_out_max), p=recipe.zoom_out))
        if recipe.crop:
            steps.append(v2.RandomApply([VisibleCrop(recipe.crop_min_scale)], recipe.crop))
        if recipe.brightness or recipe.saturation or recipe.hue:
            steps.append(v2.ColorJitter(recipe.brightness, recipe.brightness, recipe.saturation, recipe.hue))
        if recipe.invert:
            steps.append(v2.RandomInvert(recipe.invert))
        if recipe.grayscale:
            steps.append(v2.RandomGrayscale(recipe.grayscale))
        self._steps = v2.Compose([*steps, v2.ClampBoundingBoxes()])

    def __call__(self, scene: Scene) -> Scene:
        """One random version. Objects of which a crop leaves too little are dropped."""
        if self._rotate_90:
            scene = quarter_turns(scene, int(torch.randint(4, ())))
        changed = _from_tensors(self._steps(_to_tensors(scene)))
        visible = _areas(changed) >= MIN_VISIBLE * _areas(scene)  # no step scales the pixels
        return usable(changed.keep(visible))


class VisibleCrop(v2.RandomIoUCrop):  # type: ignore[misc]
    """SSD's crop (Liu et al., ECCV 2016) that keeps cut objects: torchvision's drops each whose centre is outside.

    Half a cell at the border is labelled in most data sets; a network trained without such labels would miss them.
    """

    def __init__(self, min_scale: float) -> None:
        super().__init__(min_scale, min_aspect_ratio=0.5, max_aspect_ratio=2.0)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Cut; boxes are clamped and judged by their visible share afterwards."""
        if not params:
            return inpt
        window = {name: params[name] for name in ("top", "left", "height", "width")}
        return self._call_kernel(v2.functional.crop, inpt, **window)


class ScaleJitter(v2.Transform):  # type: ignore[misc]
    """Objects up to `most` times as large or as small: a window of the image, or an empty border around it.

    The jitter of Ghiasi et al., "Simple Copy-Paste", CVPR 2021, as geometry only: the letterbox behind it resizes, so
    that pixels are resampled once, as in production. The factor's logarithm is uniform; the aspect ratio stays.
    """

    def __init__(self, most: float, fill: dict[Any, Any]) -> None:
        super().__init__()
        self._most, self._fill = most, fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The window's top left corner and size; outside the image for factors under 1."""
        height, width = v2.functional.get_size(flat_inputs[0])
        factor = self._most ** float(torch.empty(()).uniform_(-1, 1))
        size = [max(1, round(side / factor)) for side in (height, width)]
        free = [side - part for side, part in zip((height, width), size, strict=True)]  # negative: a border
        top, left = (round(room * float(torch.rand(()))) for room in free)
        return {"top": top, "left": left, "height": size[0], "width": size[1]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Cut or pad."""
        height, width = v2.functional.get_size(inpt)
        if params["height"] <= height and params["width"] <= width:
            return self._call_kernel(v2.functional.crop, inpt, **params)
        right, bottom = params["left"] + params["width"] - width, params["top"] + params["height"] - height
        padding = [-params["left"], -params["top"], right, bottom]
        return self._call_kernel(v2.functional.pad, inpt, padding=padding, fill=self._fill.get(type(inpt)))


def usable(scene: Scene) -> Scene:
    """Without the objects that nothing can be learned from: no box side of a pixel, or no pixel in the mask."""
    sides = scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]
    good = (sides >= MIN_SIDE_PX).all(1)
    if scene.masks is not None:
        good &= scene.masks.any((1, 2))
    return scene.keep(good)


def quarter_turns(scene: Scene, turns: int) -> Scene:
    """The scene turned by 90 degrees counter-clockwise `turns` times; exact, without resampling."""
    rgb, boxes, masks = scene.rgb, scene.boxes_xyxy, scene.masks
    for _ in range(turns % 4):
        width = rgb.shape[1]
        rgb = np.rot90(rgb)
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack((y1, width - x2, y2, width - x1), 1)
    if masks is not None:
        masks = np.ascontiguousarray(np.rot90(masks, turns, (1, 2)))
    return Scene(np.ascontiguousarray(rgb), boxes, scene.class_ids, masks)


def _areas(scene: Scene) -> FloatArray:
    sides = scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]
    areas: FloatArray = sides[:, 0] * sides[:, 1]
    return areas


def _to_tensors(scene: Scene) -> dict[str, Tensor]:
    height, width = scene.rgb.shape[:2]
    boxes = torch.from_numpy(np.ascontiguousarray(scene.boxes_xyxy))
    tensors = {
        "image": tv_tensors.Image(torch.tensor(scene.rgb).permute(2, 0, 1)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.from_numpy(scene.class_ids),
    }
    if scene.masks is not None:
        tensors["masks"] = tv_tensors.Mask(torch.from_numpy(scene.masks))
    return tensors


def _from_tensors(tensors: dict[str, Tensor]) -> Scene:
    boxes = tensors["boxes"].numpy().astype(np.float32)
    masks = np.ascontiguousarray(tensors["masks"].numpy()) if "masks" in tensors else None
    rgb = np.ascontiguousarray(tensors["image"].permute(1, 2, 0).numpy())
    return Scene(rgb, boxes, tensors["labels"].numpy(), masks)
