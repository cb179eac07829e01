"""Detector of all contenders but Foveal's, in common form: Pillow, a resize, ONNX Runtime, a list."""

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image


class Detector:
    """A two-stage detector of a Foveal package, with the package's own thresholds."""

    def __init__(self, package: str) -> None:
        pipeline = json.loads((Path(package) / "manifest.json").read_text())["pipeline"]
        self.labels = pipeline["labels"]
        self.input_hw = pipeline["preprocess"]["input_hw"]
        self.padding = tuple(round(255 * mean) for mean in pipeline["preprocess"]["mean"])
        self.score_threshold = pipeline["defaults"]["score_threshold"]
        self.iou_threshold = pipeline["defaults"]["iou_threshold"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # all contenders have one core
        self.session = ort.InferenceSession(str(Path(package) / "model.onnx"), options)

    def __call__(self, pixels: bytes | Image.Image) -> list[dict]:
        image = Image.open(io.BytesIO(pixels)) if isinstance(pixels, bytes) else pixels
        image = image.convert("RGB")
        height, width = self.input_hw
        scale = min(height / image.height, width / image.width)
        resized = image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.BILINEAR)
        model_input = Image.new("RGB", (width, height), self.padding)
        model_input.paste(resized)
        boxes, scores, class_ids = self.session.run(
            ["boxes", "scores", "class_ids"],
            {
                "images": np.asarray(model_input)[None],
                "content_hw": np.array([[resized.height, resized.width]], np.float32),
                "score_threshold": np.array([self.score_threshold], np.float32),
                "iou_threshold": np.array(self.iou_threshold, np.float32),
            },
        )
        return [
            {"label": self.labels[i], "score": float(score), "box": [float(edge) / scale for edge in box]}
            for box, score, i in zip(boxes, scores, class_ids, strict=True)
        ]
