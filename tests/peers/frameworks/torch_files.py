"""Makes exports of transformers, timm, torchvision and smp with their own answers: NAME FOLDER IMAGES.

Runs in the peers' environment. Writes model.onnx, reference.json (or reference/ with class maps) and flags.json.
Weights are random; heads are scaled so that scores spread.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image

Entry = dict[str, Any]
SIZE = (256, 320)


def export(model: torch.nn.Module, folder: Path, hw: tuple[int, int], outputs: list[str], dynamic: bool = True) -> None:
    """As users do; the batch may be of any size."""
    names = {"images": {0: "batch"}, **{name: {0: "batch"} for name in outputs}}
    torch.onnx.export(
        model.eval(),
        (torch.rand(1, 3, *hw),),
        str(folder / "model.onnx"),
        input_names=["images"],
        output_names=outputs,
        dynamic_axes=names if dynamic else None,
        opset_version=17,
        dynamo=False,
    )


def entries(images: Path, answer: Callable[[Image.Image], Entry]) -> list[Entry]:
    """One an image."""
    found = []
    for path in sorted(images.iterdir()):
        image = Image.open(path).convert("RGB")
        with torch.no_grad():
            found.append({"image": {"name": path.name, "width": image.width, "height": image.height}, **answer(image)})
    return found


def classes(probabilities: torch.Tensor) -> Entry:
    """A classifier's."""
    return {"classes": [{"class_id": i, "score": float(p)} for i, p in enumerate(probabilities)]}


def objects(found: dict[str, torch.Tensor], offset: int = 0) -> Entry:
    """A detector's, as transformers and torchvision have them."""
    rows = zip(found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
    return {"detections": [{"class_id": c - offset, "score": s, "box": b} for b, s, c in rows]}


class Outputs(torch.nn.Module):
    """Some outputs of a transformers model, as a tuple."""

    def __init__(self, model: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, images: torch.Tensor) -> Any:
        out = self.model(pixel_values=images)
        return tuple(out[name] for name in self.names)


def _spread(layer: torch.nn.Linear, *, weight: float, bias: float | None = None) -> None:
    layer.weight.data = torch.randn_like(layer.weight) * weight / layer.in_features**0.5
    if bias is not None:
        layer.bias.data[:] = bias


def _lively(model: torch.nn.Module) -> None:
    """Convolutions that keep the variance: selections inside are no ties then."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)


def detr(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """DETR: softmax, the last column is no object."""
    import transformers as t

    backbone = t.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    config = t.DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, use_pretrained_backbone=False, backbone=None,
        d_model=64, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
        encoder_attention_heads=4, decoder_attention_heads=4, num_queries=40, num_labels=5,
    )  # fmt: skip
    model = t.DetrForObjectDetection(config).eval()
    for parameter in model.model.query_position_embeddings.parameters():
        parameter.data *= 3
    _spread(model.class_labels_classifier, weight=3)
    _spread(model.bbox_predictor.layers[-1], weight=3)
    processor = t.DetrImageProcessorPil(size={"height": SIZE[0], "width": SIZE[1]}, do_pad=False)

    def answer(image: Image.Image) -> Entry:
        out = model(pixel_values=processor(image, return_tensors="pt")["pixel_values"])
        found = processor.post_process_object_detection(out, threshold=0.01, target_sizes=[image.size[::-1]])
        return objects(found[0])

    export(Outputs(model, ["logits", "pred_boxes"]), folder, SIZE, ["logits", "pred_boxes"])
    return entries(images, answer), ["--as", "detr", "--activation", "softmax"], f"transformers {t.__version__}"


def rtdetr(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """RT-DETR: sigmoid, the best pairs of query and class."""
    import transformers as t

    backbone = t.RTDetrResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 24, 32, 48],
        depths=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = t.RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=[24, 32, 48], encoder_hidden_dim=64, d_model=64, num_queries=60,
        decoder_in_channels=[64, 64, 64], encoder_ffn_dim=64, decoder_ffn_dim=64, decoder_layers=2, num_labels=5,
        decoder_attention_heads=4, encoder_attention_heads=4, use_pretrained_backbone=False, backbone=None,
    )  # fmt: skip
    model = t.RTDetrForObjectDetection(config).eval()
    _lively(model)
    for layer in model.model.decoder.class_embed:
        _spread(layer, weight=2, bias=-2)
    _spread(model.model.enc_score_head, weight=12)
    side = (320, 320)
    processor = t.RTDetrImageProcessorPil(size={"height": side[0], "width": side[1]})

    def answer(image: Image.Image) -> Entry:
        out = model(pixel_values=processor(image, return_tensors="pt")["pixel_values"])
        found = processor.post_process_object_detection(out, threshold=0.01, target_sizes=[image.size[::-1]])
        return objects(found[0])

    export(Outputs(model, ["logits", "pred_boxes"]), folder, side, ["logits", "pred_boxes"])
    return entries(images, answer), ["--as", "rtdetr", "--activation", "sigmoid"], f"transformers {t.__version__}"


def vit(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """ViT: stretched, mean and std 0.5."""
    import transformers as t

    config = t.ViTConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=224, num_labels=7
    )
    model = t.ViTForImageClassification(config).eval()
    _spread(model.classifier, weight=2)
    processor = t.ViTImageProcessorPil()

    def answer(image: Image.Image) -> Entry:
        return classes(model(**processor(image, return_tensors="pt")).logits.softmax(-1)[0])

    export(Outputs(model, ["logits"]), folder, (224, 224), ["logits"])
    return entries(images, answer), ["--as", "hf", "--mean", "0.5", "--std", "0.5"], f"transformers {t.__version__}"


def segformer(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """SegFormer: logits at a quarter; class maps of the model input."""
    import transformers as t

    config = t.SegformerConfig(
        hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 4], decoder_hidden_size=32,
        num_labels=6,
    )  # fmt: skip
    model = t.SegformerForSemanticSegmentation(config).eval()
    model.decode_head.classifier.weight.data *= 20
    model.decode_head.classifier.bias.data = torch.randn(6)
    processor = t.SegformerImageProcessorPil(size={"height": SIZE[0], "width": SIZE[1]})

    def answer(image: Image.Image) -> Entry:
        out = model(**processor(image, return_tensors="pt"))
        found = processor.post_process_semantic_segmentation(out, target_sizes=[SIZE])[0]
        return {"map": found.numpy().astype(np.uint8)}

    export(Outputs(model, ["logits"]), folder, SIZE, ["logits"])
    return entries(images, answer), ["--as", "hf", "--task", "semantic-segmentation"], f"transformers {t.__version__}"


def timm_classifier(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """A ResNet with timm's own transform."""
    import timm

    model = timm.create_model("resnet10t", num_classes=9).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.5)
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)

    def answer(image: Image.Image) -> Entry:
        return classes(model(transform(image)[None]).softmax(-1)[0])

    side = config["input_size"][1:]
    export(model, folder, tuple(side), ["logits"])
    shorter = int(side[0] / config["crop_pct"])
    flags = ["--as", "timm", "--shorter-side", str(shorter), "--interpolation", f"pillow-{config['interpolation']}"]
    return entries(images, answer), flags, f"timm {timm.__version__}"


def tv_resnet(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """ResNet-18 with the preset's transform, a static batch."""
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    model = torchvision.models.resnet18(num_classes=11).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.3)
    transform = weights.transforms()

    def answer(image: Image.Image) -> Entry:
        return classes(model(transform(image)[None]).softmax(-1)[0])

    export(model, folder, (224, 224), ["logits"], dynamic=False)
    return entries(images, answer), ["--as", "torchvision"], f"torchvision {torchvision.__version__}"


def tv_deeplab(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """DeepLabV3 MobileNetV3; class maps of the model input."""
    build = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large
    model = build(weights=None, weights_backbone=None, num_classes=6).eval()
    torch.nn.init.normal_(model.classifier[-1].weight, std=2.0)

    class Out(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.model(images)["out"]
            return found

    def answer(image: Image.Image) -> Entry:
        pixels = np.asarray(image.resize(SIZE[::-1], Image.Resampling.BILINEAR), np.float32) / 255
        values = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        return {
            "map": model(torch.from_numpy(values.transpose(2, 0, 1)[None]))["out"].argmax(1)[0].numpy().astype(np.uint8)
        }

    export(Out(), folder, SIZE, ["out"])
    return entries(images, answer), ["--as", "torchvision"], f"torchvision {torchvision.__version__}"


def smp_unet(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """A U-Net of segmentation_models_pytorch; class maps of the model input."""
    import cv2
    import segmentation_models_pytorch as smp

    model = smp.Unet("resnet18", encoder_weights=None, classes=4).eval()
    model.segmentation_head[0].weight.data *= 10

    def answer(image: Image.Image) -> Entry:
        pixels = cv2.resize(np.asarray(image), SIZE[::-1]).astype(np.float32) / 255  # as albumentations resizes
        values = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        return {"map": model(torch.from_numpy(values.transpose(2, 0, 1)[None])).argmax(1)[0].numpy().astype(np.uint8)}

    export(model, folder, SIZE, ["logits"])
    return entries(images, answer), ["--as", "smp"], f"segmentation_models_pytorch {smp.__version__}"


def keras_classifier(folder: Path, images: Path) -> tuple[list[Entry], list[str], str]:
    """A small network of Keras, channels last, 0..255 with a Rescaling layer inside."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((96, 128, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 5, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=1.0)),
        ]
    )

    def answer(image: Image.Image) -> Entry:
        pixels = keras.ops.image.resize(np.asarray(image, np.float32)[None], (96, 128), interpolation="bilinear")
        return classes(torch.as_tensor(keras.ops.convert_to_numpy(model(pixels, training=False)))[0])

    found = entries(images, answer)
    model.export(str(folder / "model.onnx"), format="onnx")
    return found, ["--as", "keras"], f"keras {keras.__version__}"


FILES = {
    "DETR": detr,
    "RT-DETR": rtdetr,
    "ViT": vit,
    "SegFormer": segformer,
    "timm ResNet": timm_classifier,
    "torchvision ResNet": tv_resnet,
    "torchvision DeepLab": tv_deeplab,
    "smp U-Net": smp_unet,
    "Keras": keras_classifier,
}


def main(name: str, folder: Path, images: Path) -> None:
    """Write everything of one."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    found, flags, framework = FILES[name](folder, images)
    reference = folder / "reference.json"
    if "map" in found[0]:
        reference = folder / "reference"
        reference.mkdir(exist_ok=True)
        for entry in found:
            Image.fromarray(entry["map"]).save(reference / f"{Path(entry['image']['name']).stem}.png")
    else:
        reference.write_text(json.dumps({"framework": framework, "entries": found}))
    flags += ["--reference", str(reference), "--framework", framework]
    (folder / "flags.json").write_text(json.dumps(flags))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
