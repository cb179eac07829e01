"""Foreign files with their frameworks' answers, one for each way of reading: what the import is tried on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from foveal.export.importing.plan import Request
from foveal.export.importing.proof.reference import read_reference
from tests.helpers import foreign_frameworks as framework
from tests.helpers import foreign_graphs as graphs
from tests.helpers.foreign_frameworks import IMAGENET, cropped, letterbox, normalised, plain, stretched

HW = (64, 96)
LABELS = ("ant", "bee", "cow")
NAMES = {"names": str(dict(enumerate(LABELS))), "stride": "32", "imgsz": "[64, 96]", "author": "Ultralytics"}

Answers = Callable[[Path, Path], Mapping[str, Any]]  # model, images


@dataclass(frozen=True)
class Case:
    """A file, its framework's answers and the flags that it needs."""

    family: str
    make: Callable[[Path], Path]
    answers: Answers
    labels: tuple[str, ...] | None = LABELS
    given: Mapping[str, Any] = field(default_factory=dict)

    def request(self, folder: Path, **given: Any) -> Request:
        """Everything made; with other flags than the right ones, if given."""
        model = self.make(folder / "model.onnx")
        images = framework.photos(folder / "images")
        file = framework.write(self.answers(model, images), folder / "reference.json")
        reference = read_reference(file, images, labels=self.labels)
        return Request(
            model,
            self.family,
            labels=self.labels,
            given={**self.given, **given},
            reference=reference,
            about="a stand-in",
        )


def _yolo(kind: str, iou: float, *, agnostic: bool = False) -> Answers:
    def run(model: Path, images: Path) -> Mapping[str, Any]:
        def prepare(rgb: Any) -> Any:
            seen, back = letterbox(rgb, HW, centred=kind != "yolox")
            if kind == "yolox":
                return seen[..., ::-1].astype(np.float32).transpose(2, 0, 1)[None], back
            return plain(seen), back

        def decode(outputs: Any, back: Any) -> Any:
            rows = outputs[0][0].T if kind == "v8" else outputs[0][0]
            if kind == "yolox":
                rows = rows.copy()
                start = 0
                for stride in (8, 16, 32):
                    cells = graphs.grid(HW, stride)
                    part = rows[start : start + len(cells)]
                    part[:, :2] = (part[:, :2] + cells) * stride
                    part[:, 2:4] = np.exp(part[:, 2:4]) * stride
                    start += len(cells)
            if kind != "v8":
                rows = np.concatenate([rows[:, :4], rows[:, 5:] * rows[:, 4:5]], axis=1)
            return framework.suppressed(np.ascontiguousarray(rows), back, iou=iou, agnostic=agnostic)

        return framework.answers(model, images, prepare, decode)

    return run


def _end_to_end(model: Path, images: Path) -> Mapping[str, Any]:
    def prepare(rgb: Any) -> Any:
        seen, back = letterbox(rgb, HW, centred=True)
        return plain(seen), back

    def decode(outputs: Any, back: Any) -> Any:
        rows = outputs[0][0]
        return framework.detections(back(rows[:, :4]), rows[:, 4], rows[:, 5])

    return framework.answers(model, images, prepare, decode)


def _detr(activation: str, *, normal: bool = True) -> Answers:
    def run(model: Path, images: Path) -> Mapping[str, Any]:
        def prepare(rgb: Any) -> Any:
            seen, back = stretched(rgb, HW)
            return normalised(seen, *IMAGENET) if normal else plain(seen), back

        def decode(outputs: Any, back: Any) -> Any:
            logits, boxes = torch.from_numpy(outputs[0][0]), torch.from_numpy(outputs[1][0])
            x, y, w, h = boxes.T
            corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1) * torch.tensor([96, 64, 96, 64])
            if activation == "softmax":  # post_process_object_detection of transformers' DETR
                scores, classes = logits.softmax(-1)[:, :-1].max(-1)
                return framework.detections(back(corners.numpy()), scores.numpy(), classes.numpy())
            scores, pairs = logits.sigmoid().flatten().topk(24)  # of its RT-DETR
            classes, queries = pairs % logits.shape[1], pairs // logits.shape[1]
            return framework.detections(back(corners[queries].numpy()), scores.numpy(), classes.numpy())

        return framework.answers(model, images, prepare, decode)

    return run


def _torchvision_detector(model: Path, images: Path) -> Mapping[str, Any]:
    def prepare(rgb: Any) -> Any:
        seen, back = stretched(rgb, HW)
        return plain(seen)[0], back

    def decode(outputs: Any, back: Any) -> Any:
        return framework.detections(back(outputs[0]), outputs[2], outputs[1] - 1)

    return framework.answers(model, images, prepare, decode)


def _classifier(prepare: Callable[[Any], Any], ending: str = "") -> Answers:
    def decode(outputs: Any) -> Any:
        shares = outputs[0][0] if ending else torch.from_numpy(outputs[0][0]).softmax(-1).numpy()
        return {"classes": [{"class_id": i, "score": float(share)} for i, share in enumerate(shares)]}

    return lambda model, images: framework.answers(model, images, lambda rgb: (prepare(rgb),), decode)


def _semantic(size: tuple[int, int]) -> Answers:
    """Logits enlarged to the model input, best class, then to the image by the pixel under each centre."""

    def run(model: Path, images: Path) -> Mapping[str, Any]:
        def prepare(rgb: Any) -> Any:
            return normalised(stretched(rgb, size)[0], *IMAGENET), rgb.shape[:2]

        def decode(outputs: Any, image_hw: Any) -> Any:
            whole = torch.nn.functional.interpolate(torch.from_numpy(outputs[0]), size=size, mode="bilinear")
            ids = whole.argmax(1)[None].to(torch.uint8)
            ids = torch.nn.functional.interpolate(ids, size=image_hw, mode="nearest-exact")
            return {"segmentation": {"mask": _png(ids[0, 0].numpy())}}

        return framework.answers(model, images, prepare, decode)

    return run


def _png(ids: Any) -> Mapping[str, str]:
    import base64
    import io

    file = io.BytesIO()
    Image.fromarray(ids).save(file, "PNG")
    return {"format": "png", "base64": base64.b64encode(file.getvalue()).decode()}


CLASSES = ("a", "b", "c", "d")
CASES = {
    "yolov8": Case("ultralytics", lambda p: graphs.yolo(p, metadata=NAMES), _yolo("v8", 0.7), None),
    "yolov8 static": Case("ultralytics", lambda p: graphs.yolo(p, batch=1, metadata=NAMES), _yolo("v8", 0.7), None),
    "yolov8 any size": Case(
        "ultralytics", lambda p: graphs.yolo(p, input_hw=(None, None), metadata=NAMES), _yolo("v8", 0.7), None
    ),
    "yolov8 float16": Case(
        "ultralytics", lambda p: graphs.yolo(p, dtype="float16", metadata=NAMES), _yolo("v8", 0.7), None
    ),
    "yolov8 agnostic": Case(
        "ultralytics",
        lambda p: graphs.yolo(p, metadata=NAMES),
        _yolo("v8", 0.45, agnostic=True),
        None,
        {"nms": "agnostic", "iou_threshold": 0.45},
    ),
    "yolov5": Case("ultralytics", lambda p: graphs.yolo(p, "v5"), _yolo("v5", 0.45)),
    "yolox": Case("yolox", lambda p: graphs.yolo(p, "yolox", opset=11), _yolo("yolox", 0.65)),
    "end to end": Case("ultralytics", lambda p: graphs.end_to_end(p, metadata=NAMES), _end_to_end, None),
    "detr softmax": Case("detr", graphs.detr, _detr("softmax")),
    "detr sigmoid": Case("rfdetr", lambda p: graphs.detr(p, 3), _detr("sigmoid")),
    "rtdetr, as many classes as box edges": Case(
        "rtdetr",
        lambda p: graphs.detr(p, 4, ("scores", "boxes")),
        _detr("sigmoid", normal=False),
        ("ant", "bee", "cow", "dog"),
    ),
    "torchvision detector": Case(
        "torchvision", graphs.torchvision_detector, _torchvision_detector, ("__background__", *LABELS)
    ),
    "timm": Case(
        "timm", graphs.classifier, _classifier(lambda x: normalised(cropped(x, 32, 36, 3), *IMAGENET)), CLASSES
    ),
    "torchvision, softmax inside": Case(
        "torchvision",
        lambda p: graphs.classifier(p, ending="Softmax"),
        _classifier(lambda x: normalised(cropped(x, 32, 36), *IMAGENET), "Softmax"),
        CLASSES,
    ),
    "keras, channels last": Case(
        "keras",
        lambda p: _keras(p),
        _classifier(lambda x: _bilinear(x).astype(np.float32)[None]),
        CLASSES,
    ),
    "uint8": Case("keras", lambda p: _keras(p, dtype="uint8"), _classifier(lambda x: _bilinear(x)[None]), CLASSES),
    "semantic": Case("hf", graphs.semantic, _semantic(HW)),
    "semantic, whole": Case(
        "smp", lambda p: graphs.semantic(p, stride=1), _semantic(HW), LABELS, {"interpolation": "pillow-bilinear"}
    ),
}


def _keras(path: Path, **fields: Any) -> Path:
    return graphs.classifier(path, channels_last=True, gain=1 / 128, **fields)


def _bilinear(rgb: Any) -> Any:
    import cv2

    return cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_LINEAR)
