"""Makes Ultralytics' exports with random, spread heads. Runs in the peers' environment: NAME FOLDER IMAGES."""

import sys
from pathlib import Path

import torch
import ultralytics

FILES = {  # name -> (configuration, task, export arguments)
    "yolov8 detect": ("yolov8n.yaml", "detect", {}),
    "yolov8 nms": ("yolov8n.yaml", "detect", {"nms": True, "conf": 0.01, "iou": 0.7}),
    "yolov8 dynamic": ("yolov8n.yaml", "detect", {"dynamic": True}),
    "yolov8 classify": ("yolov8n-cls.yaml", "classify", {}),
    "yolo11 segment": ("yolo11n-seg.yaml", "segment", {}),
    "yolo26 end-to-end": ("yolo26n.yaml", "detect", {"nms": False}),
    "yolo26 raw": ("yolo26n.yaml", "detect", {}),
}
SIZE = 320


def spread(model: torch.nn.Module, images: list[Path]) -> None:
    """Random weights whose scores lie between 0.01 and 0.9: batch statistics of the images, then a wider head."""
    import cv2

    batch = torch.stack(
        [torch.from_numpy(cv2.resize(cv2.imread(str(p)), (SIZE, SIZE))[..., ::-1].copy()) for p in images]
    )
    batch = batch.permute(0, 3, 1, 2).float() / 255
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(batch)
    model.eval()
    head = model.model[-1]
    scores = [branch[-1] for branch in [*getattr(head, "cv3", []), *getattr(head, "one2one_cv3", [])]]
    spreads: dict[torch.nn.Module, float] = {}
    hooks = [
        layer.register_forward_hook(lambda own, _, out: spreads.update({own: float(out.std())})) for layer in scores
    ]
    with torch.no_grad():
        model(batch)
    for layer, hook in zip(scores, hooks, strict=True):
        hook.remove()
        layer.weight.data *= 0.8 / spreads.get(layer, 1.0)
        layer.bias.data[:] = -4.5
    for branch in [*getattr(head, "cv2", []), *getattr(head, "one2one_cv2", [])]:
        if head.reg_max > 1:
            branch[-1].weight.data *= 3
        else:  # distances themselves, which no trained network gives below 0
            branch[-1].weight.data *= 0.2
            branch[-1].bias.data[:] = 3
    for branch in getattr(head, "cv4", []):
        branch[-1].weight.data *= 4
    if hasattr(head, "linear"):
        head.linear.weight.data *= 20


def main(name: str, folder: Path, images: Path) -> None:
    """Write model.onnx."""
    config, task, arguments = FILES[name]
    torch.manual_seed(0)
    model = ultralytics.YOLO(config, task=task)
    if task == "classify":
        model.model.names = {i: f"kind {i}" for i in range(1000)}
    spread(model.model, sorted(images.iterdir()))
    weights = folder / "model.pt"
    model.save(weights)
    exported = ultralytics.YOLO(weights).export(format="onnx", imgsz=224 if task == "classify" else SIZE, **arguments)
    Path(exported).rename(folder / "model.onnx")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
