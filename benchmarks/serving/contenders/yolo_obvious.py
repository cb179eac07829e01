"""A YOLO file behind FastAPI in the form of tutorials: by Ultralytics' predictor, or by hand with OpenCV and NumPy."""

import sys
from collections.abc import Callable

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile

PORT, MODEL, HOW = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SCORE, IOU = 0.25, 0.7
Row = dict[str, float | list[float]]


def by_hand() -> Callable[[np.ndarray], list[Row]]:
    """Letterbox, ONNX Runtime, NMS of each class."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # all contenders have one core
    session = ort.InferenceSession(MODEL, options)
    name, (_, _, height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape

    def detect(image: np.ndarray) -> list[Row]:
        scale = min(height / image.shape[0], width / image.shape[1])
        resized = cv2.resize(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
        top, left = (height - resized.shape[0]) // 2, (width - resized.shape[1]) // 2
        padded = np.full((height, width, 3), 114, np.uint8)
        padded[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
        model_input = padded[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
        output = session.run(None, {name: model_input})[0][0].T
        scores, class_ids = output[:, 4:].max(axis=1), output[:, 4:].argmax(axis=1)
        rows = scores > SCORE
        boxes, scores, class_ids = output[rows, :4], scores[rows], class_ids[rows]
        boxes[:, :2] -= boxes[:, 2:] / 2
        kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), class_ids.tolist(), SCORE, IOU)
        boxes[:, 2:] += boxes[:, :2]
        boxes = (boxes - (left, top, left, top)) / scale
        return [
            {"class_id": int(class_ids[i]), "score": float(scores[i]), "box": boxes[i].tolist()} for i in list(kept)
        ]

    return detect


def by_ultralytics() -> Callable[[np.ndarray], list[Row]]:
    """Its own predictor, on the same file."""
    import ultralytics

    model = ultralytics.YOLO(MODEL, task="detect")

    def detect(image: np.ndarray) -> list[Row]:
        found = model(image, conf=SCORE, iou=IOU, verbose=False)[0].boxes
        table = zip(found.cls.tolist(), found.conf.tolist(), found.xyxy.tolist(), strict=True)
        return [{"class_id": int(c), "score": s, "box": box} for c, s, box in table]

    return detect


app = FastAPI()
detector = by_hand() if HOW == "hand" else by_ultralytics()


@app.post("/detect")
def detect(image: UploadFile) -> list[Row]:
    """A file upload and a plain function, which runs in a thread."""
    return detector(cv2.imdecode(np.frombuffer(image.file.read(), np.uint8), cv2.IMREAD_COLOR))


uvicorn.run(app, port=PORT, log_level="error")
