"""Files of every family answer as their frameworks do; wrong flags are caught, and the right ones named."""

from pathlib import Path

import pytest

from foveal.errors import ReferenceMismatch
from foveal.export.importing.build import import_model
from foveal.export.writing import Target
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import check_batches, check_golden, check_graph
from foveal.packages.package import ModelPackage
from tests.helpers.foreign_cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_answers_as_the_framework(name: str, tmp_path: Path) -> None:
    target = Target.of(tmp_path / "zoo" / "mine" / "1")
    import_model(CASES[name].request(tmp_path), target)
    package = ModelPackage.open(target.path)
    imported = package.manifest.imported
    assert imported is not None
    assert imported.reference is not None
    assert imported.reference.measured["compared"] >= 3
    assert imported.reference.measured["agreed_share"] == 1
    assert package.manifest.pipeline.max_batch == (1 if "static" in name or "torchvision det" in name else 16)
    predictor = Predictor(package)
    check_graph(predictor)
    check_batches(predictor)
    check_golden(predictor)
    assert "a stand-in 1.0" in package.card


WRONG = {
    "colour": ("yolov8", {"colour": "bgr"}, "--colour rgb"),
    "colour of BGR": ("yolox", {"colour": "rgb"}, "--colour bgr"),
    "scale": ("yolov8", {"scale": 1.0}, "--scale 1/255"),
    "mean and std": (
        "yolov8",
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        "--mean 0,0,0 --std 1,1,1",
    ),
    "no mean": ("detr softmax", {"mean": (0.0,) * 3, "std": (1.0,) * 3}, "--mean 0.485,0.456,0.406"),
    "padding value": ("yolov8", {"pad_value": 0}, "--pad-value 114"),
    "padding position": ("yolov8", {"pad_position": "top-left"}, "--pad-position center"),
    "padding position, top left": ("yolox", {"pad_position": "center"}, "--pad-position top-left"),
    "stretched": ("yolov8", {"resize": "stretch"}, "--resize letterbox"),
    "letterboxed": ("detr softmax", {"resize": "letterbox"}, "--resize stretch"),
    "cropped": ("timm", {"resize": "stretch", "shorter_side": None}, "--resize center-crop"),
    "shorter side": ("timm", {"shorter_side": 32}, "--shorter-side 36"),
    "interpolation": ("timm", {"interpolation": "pillow-bilinear"}, "--interpolation pillow-bicubic"),
    "aliased": ("detr softmax", {"interpolation": "bilinear"}, "--interpolation pillow-bilinear"),
    "box scale": ("yolov8", {"box_scale": "common"}, "--box-scale own"),
    "NMS": ("yolov8", {"nms": "agnostic"}, "--nms per-class"),
    "no NMS": ("yolov8", {"nms": "none"}, "--nms per-class"),
    "per class": ("yolov8 agnostic", {"nms": "per-class"}, "--nms agnostic"),
    "IoU": ("yolov8", {"iou_threshold": 0.45}, "--iou-threshold 0.7"),
    "class offset": ("torchvision detector", {"class_offset": 0}, "--class-offset 1"),
    "softmax twice": ("torchvision, softmax inside", {"activation": "softmax"}, "--activation none"),
    "two at once": ("yolov8", {"colour": "bgr", "pad_value": 0}, "--colour rgb --pad-value 114"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_flag_is_caught_and_the_right_one_named(name: str, tmp_path: Path) -> None:
    case, given, right = WRONG[name]
    target = Target.of(tmp_path / "zoo" / "mine" / "1")
    request = CASES[case].request(tmp_path, **given)
    with pytest.raises(ReferenceMismatch, match="It matches with") as caught:
        import_model(request, target)
    said = str(caught.value).partition("It matches with")[2]
    assert all(flag in said for flag in right.split(" --"))
    assert not target.path.exists()
