"""What frameworks answer with the files of `foreign_graphs`: their documented steps, in OpenCV, Pillow and torchvision.

Written from the frameworks' documentation and apart from Foveal's code: the oracle of `foveal import`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from PIL import Image
from torchvision.ops import batched_nms, box_convert, nms
from torchvision.transforms.v2.functional import center_crop
from torchvision.transforms.v2.functional import resize as tv_resize

Array = npt.NDArray[Any]
Prepared = tuple[Array, Callable[[Array], Array]]  # (1, 3, H, W) float32; boxes of it -> of the image

IMAGENET = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))


def photos(folder: Path, count: int = 3) -> Path:
    """Colourful images of odd sizes, with fine detail."""
    folder.mkdir(exist_ok=True)
    for i, (height, width) in enumerate([(90, 131), (150, 77), (64, 96), (201, 203)][:count]):
        random = np.random.default_rng(i)
        small = random.integers(0, 256, (7, 9, 3), np.uint8)
        rgb = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(int)
        rgb += random.integers(-40, 40, rgb.shape)
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / f"photo{i}.png")
    return folder


def letterbox(rgb: Array, hw: tuple[int, int], *, centred: bool, colour: int = 114) -> Prepared:
    """Ultralytics' (centred) or YOLOX's (top left), 0..255."""
    ratio = min(hw[0] / rgb.shape[0], hw[1] / rgb.shape[1])
    whole = (lambda side: round(side * ratio)) if centred else (lambda side: int(side * ratio))
    width, height = whole(rgb.shape[1]), whole(rgb.shape[0])
    left, top = (round((hw[1] - width) / 2 - 0.1), round((hw[0] - height) / 2 - 0.1)) if centred else (0, 0)
    padded = np.full((*hw, 3), colour, np.uint8)
    padded[top : top + height, left : left + width] = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    limits = np.array([rgb.shape[1], rgb.shape[0]] * 2)
    scale = np.array([width / rgb.shape[1], height / rgb.shape[0]] * 2) if centred else ratio  # since Ultralytics 8.4
    return padded, lambda boxes: np.clip((boxes - np.array([left, top] * 2)) / scale, 0, limits)


def stretched(rgb: Array, hw: tuple[int, int], filter_: Any = Image.Resampling.BILINEAR) -> Prepared:
    """Pillow's resize to both sides."""
    scale = np.array([rgb.shape[1] / hw[1], rgb.shape[0] / hw[0]] * 2)
    limits = np.array([rgb.shape[1], rgb.shape[0]] * 2)
    resized = np.asarray(Image.fromarray(rgb).resize(hw[::-1], filter_))
    return resized, lambda boxes: np.clip(boxes * scale, 0, limits)


def cropped(rgb: Array, side: int, shorter: int, interpolation: int = 2) -> Array:
    """torchvision's Resize and CenterCrop of a Pillow image; interpolation 2 bilinear, 3 bicubic."""
    resized = tv_resize(Image.fromarray(rgb), [shorter], interpolation=interpolation)
    return np.asarray(center_crop(resized, [side, side]))


def normalised(model_input: Array, mean: Array, std: Array) -> Array:
    """ToTensor and Normalize: (1, 3, H, W) float32."""
    return ((model_input / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]


def plain(model_input: Array) -> Array:
    """0..1."""
    return (model_input.astype(np.float32) / 255).transpose(2, 0, 1)[None]


def answers(
    model: Path, images: Path, prepare: Callable[[Array], Any], decode: Callable[..., list[dict[str, Any]]]
) -> dict[str, Any]:
    """Every image's entry, by ONNX Runtime; `prepare` gives the input and what `decode` needs beside the outputs."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    entries = []
    for path in sorted(images.iterdir()):
        with Image.open(path) as image:
            rgb = np.asarray(image.convert("RGB"))
        model_input, *more = prepare(rgb)
        wanted = session.get_inputs()[0]
        half = wanted.type == "tensor(float16)"
        outputs = session.run(None, {wanted.name: model_input.astype(np.float16) if half else model_input})
        outputs = [output.astype(np.float32) if half else output for output in outputs]
        size = {"width": rgb.shape[1], "height": rgb.shape[0]}
        entries.append({"image": {"name": path.name, **size}, **decode(outputs, *more)})
    return {"framework": "a stand-in 1.0", "entries": entries}


def detections(boxes: Array, scores: Array, classes: Array) -> dict[str, Any]:
    """The members of an entry, as Foveal has them."""
    rows = zip(boxes.tolist(), scores.tolist(), classes.tolist(), strict=True)
    kept = [{"class_id": int(c), "score": s, "box": b} for b, s, c in rows if b[2] - b[0] > 0.01 and b[3] - b[1] > 0.01]
    return {"detections": kept}


def suppressed(
    rows: Array, back: Callable[[Array], Array], *, iou: float, agnostic: bool = False, least: float = 0.01
) -> dict[str, Any]:
    """(A, 4 + C) centre boxes and class scores -> NMS of torchvision, one class a box, boxes of the image."""
    boxes = box_convert(torch.from_numpy(rows[:, :4]), "cxcywh", "xyxy")
    scores, classes = torch.from_numpy(rows[:, 4:]).max(dim=1)
    keep = scores > least
    boxes, scores, classes = boxes[keep], scores[keep], classes[keep]
    order = nms(boxes, scores, iou) if agnostic else batched_nms(boxes, scores, classes, iou)
    order = order[:300]
    return detections(back(boxes[order].numpy()), scores[order].numpy(), classes[order].numpy())


def write(answer: Mapping[str, Any], path: Path) -> Path:
    """As a file."""
    path.write_text(json.dumps(answer))
    return path
