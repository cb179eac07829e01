"""Scripts (`SCRIPTS`) that users run in their own framework, to make the reference that an import is proved with."""

_END = """
json.dump({"framework": FRAMEWORK, "entries": entries}, open("reference.json", "w"))
"""

SCRIPTS = {
    "ultralytics": '''\
# python reference.py model.onnx images/   (the static .onnx: .pt and dynamic files letterbox to a rectangle)
import json, sys
from pathlib import Path
import numpy as np, ultralytics

model = ultralytics.YOLO(sys.argv[1])  # task="segment", task="classify": if the file does not say
entries = []
for path in sorted(Path(sys.argv[2]).iterdir()):
    found = model(str(path), conf=0.01, retina_masks=True, verbose=False)[0]
    if found.probs is not None:
        rows = [{"label": found.names[i], "class_id": i, "score": p} for i, p in enumerate(found.probs.data.tolist())]
        entries.append({"image": {"name": path.name}, "classes": rows})
        continue
    table = zip(found.boxes.xyxy.tolist(), found.boxes.conf.tolist(), found.boxes.cls.int().tolist())
    rows = [{"label": found.names[c], "class_id": c, "score": s, "box": b} for b, s, c in table]
    for row, mask in zip(rows, [] if found.masks is None else found.masks.data.numpy()):
        flat = np.concatenate([[0], mask.T.astype(np.int8).ravel(), [0]])  # COCO's run lengths: down the columns
        edges = np.concatenate([[0], np.flatnonzero(np.diff(flat)), [mask.size]])
        row["mask"] = {"size": list(mask.shape), "counts": np.diff(edges).tolist()}
    entries.append({"image": {"name": path.name}, "detections": rows})
FRAMEWORK = f"ultralytics {ultralytics.__version__}"'''
    + _END,
    "yolox": """\
# python reference.py yolox.onnx images/   (the steps of YOLOX's demo, with the NMS of its evaluation)
import json, sys
from pathlib import Path
import cv2, numpy as np, onnxruntime, torch, torchvision

session, entries = onnxruntime.InferenceSession(sys.argv[1]), []
height, width = session.get_inputs()[0].shape[2:]
cells = [np.stack(np.meshgrid(np.arange(width // s), np.arange(height // s)), -1).reshape(-1, 2) for s in (8, 16, 32)]
grid, stride = np.concatenate(cells), np.repeat((8, 16, 32), [len(c) for c in cells])[:, None]
for path in sorted(Path(sys.argv[2]).iterdir()):
    image, padded = cv2.imread(str(path)), np.full((height, width, 3), 114, np.uint8)
    ratio = min(height / image.shape[0], width / image.shape[1])
    small = cv2.resize(image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)))
    padded[: small.shape[0], : small.shape[1]] = small
    feed = padded.transpose(2, 0, 1)[None].astype(np.float32)
    raw = session.run(None, {session.get_inputs()[0].name: feed})[0][0]
    centre, half = (raw[:, :2] + grid) * stride, np.exp(raw[:, 2:4]) * stride / 2
    boxes = torch.from_numpy(np.concatenate([centre - half, centre + half], 1) / ratio).float()
    scores, classes = torch.from_numpy(raw[:, 5:] * raw[:, 4:5]).max(1)
    order = torch.where(scores > 0.01)[0]
    order = order[torchvision.ops.batched_nms(boxes[order], scores[order], classes[order], 0.65)][:300]
    table = zip(boxes[order].tolist(), scores[order].tolist(), classes[order].tolist())
    rows = [{"class_id": c, "score": s, "box": b} for b, s, c in table]
    entries.append({"image": {"name": path.name}, "detections": rows})
FRAMEWORK = "the steps of YOLOX's demo, torchvision " + torchvision.__version__"""
    + _END,
    "transformers": '''\
# python reference.py FOLDER images/ 320x320   (FOLDER: save_pretrained of model and processor; HxW of the export)
import json, sys
from pathlib import Path
import torch, transformers
from PIL import Image, ImageOps

folder, images, (height, width) = sys.argv[1], sys.argv[2], map(int, sys.argv[3].split("x"))
processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")  # torchvision's differs by CPU
config = transformers.AutoConfig.from_pretrained(folder)
detector = hasattr(processor, "post_process_object_detection")
kind = transformers.AutoModelForObjectDetection if detector else transformers.AutoModelForImageClassification
model, entries = kind.from_pretrained(folder).eval(), []
for path in sorted(Path(images).iterdir()):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if detector:
        inputs = processor(image, return_tensors="pt", size={"height": height, "width": width}, do_pad=False)
        output = model(pixel_values=inputs["pixel_values"])
        found = processor.post_process_object_detection(output, threshold=0.01, target_sizes=[image.size[::-1]])[0]
        table = zip(found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist())
        rows = [{"label": config.id2label[c], "class_id": c, "score": s, "box": b} for b, s, c in table]
        entries.append({"image": {"name": path.name}, "detections": rows})
    else:
        shares = model(**processor(image, return_tensors="pt")).logits.softmax(-1)[0].tolist()
        rows = [{"label": config.id2label[i], "class_id": i, "score": p} for i, p in enumerate(shares)]
        entries.append({"image": {"name": path.name}, "classes": rows})
FRAMEWORK = f"transformers {transformers.__version__}, torch {torch.__version__}"'''
    + _END,
    "timm": '''\
# python reference.py MODEL_NAME weights.pth images/
import json, sys
from pathlib import Path
import timm, torch
from PIL import Image, ImageOps

state = timm.models.load_state_dict(sys.argv[2])
model = timm.create_model(sys.argv[1], num_classes=len(list(state.values())[-1])).eval()  # last: classifier's bias
model.load_state_dict(state)
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
entries = []
for path in sorted(Path(sys.argv[3]).iterdir()):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    with torch.no_grad():
        shares = model(transform(image)[None]).softmax(-1)[0].tolist()
    rows = [{"class_id": i, "score": p} for i, p in enumerate(shares)]
    entries.append({"image": {"name": path.name}, "classes": rows})
FRAMEWORK = f"timm {timm.__version__}, torch {torch.__version__}"'''
    + _END,
    "torchvision": '''\
# python reference.py model.pth images/   (model.pth: torch.save of the whole model, made by you)
import json, sys
from pathlib import Path
import torch, torchvision
from PIL import Image, ImageOps
from torchvision.transforms import v2

model, entries = torch.load(sys.argv[1], weights_only=False).eval(), []
prepare = v2.Compose([v2.ToImage(), v2.Resize(256), v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True),
                      v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])  # classifiers: what you trained with
for path in sorted(Path(sys.argv[2]).iterdir()):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    with torch.no_grad():
        shares = model(prepare(image)[None]).softmax(-1)[0].tolist()
    rows = [{"class_id": i, "score": p} for i, p in enumerate(shares)]
    entries.append({"image": {"name": path.name}, "classes": rows})
FRAMEWORK = f"torchvision {torchvision.__version__}, torch {torch.__version__}"'''
    + _END,
    "onnx": '''\
# python reference.py model.onnx images/   (write `prepare` as your own code does; for a classifier)
import json, sys
from pathlib import Path
import numpy as np, onnxruntime
from PIL import Image, ImageOps

def prepare(image):  # -> float32 (1, 3, H, W): YOUR preprocessing
    return (np.asarray(image.resize((224, 224)), np.float32) / 255).transpose(2, 0, 1)[None]

session, entries = onnxruntime.InferenceSession(sys.argv[1]), []
for path in sorted(Path(sys.argv[2]).iterdir()):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    logits = session.run(None, {session.get_inputs()[0].name: prepare(image)})[0][0]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    rows = [{"class_id": i, "score": float(p)} for i, p in enumerate(shares)]
    entries.append({"image": {"name": path.name}, "classes": rows})
FRAMEWORK = "onnxruntime with own preprocessing"'''
    + _END,
}
