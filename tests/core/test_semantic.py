"""Semantic segmentation: maps of exactly the image's size, scores against brute force, bytes there and back."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from pycocotools import mask as coco_mask

from foveal.errors import BadRequest
from foveal.imaging import class_map as maps
from foveal.imaging.preprocess import ImageTransform, Preprocess
from foveal.inference.pipeline import Predictor
from foveal.metrics import semantic
from foveal.options import Defaults, Options
from foveal.packages.manifest import GoldenTolerance, Manifest, Tensor
from foveal.packages.package import ModelPackage
from foveal.synth import rectangles
from foveal.tasks import TASKS
from foveal.tasks.semantic_segmentation import SemanticMap
from tests.helpers.packages import colour_manifest

LABELS = ("dark", "bright")
TASK = TASKS["semantic-segmentation"]


def bright_graph(input_hw: tuple[int, int]) -> bytes:
    """images -> class_map: 1 where the red channel is over 100; confidence is always 255."""
    constants = {"red": np.array([0], np.int64), "limit": np.array(100, np.uint8), "full": np.array(255, np.uint8)}
    nodes = [
        helper.make_node("Gather", ["images", "red"], ["plane"], axis=3),
        helper.make_node("Squeeze", ["plane", "last"], ["flat"]),
        helper.make_node("Greater", ["flat", "limit"], ["above"]),
        helper.make_node("Cast", ["above"], ["class_map"], to=TensorProto.UINT8),
        helper.make_node("BitwiseOr", ["class_map", "full"], ["confidence"]),
    ]
    constants["last"] = np.array([3], np.int64)
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *input_hw, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", *input_hw])
            for name in ("class_map", "confidence")
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def bright_manifest(preprocess: Preprocess) -> Manifest:
    model_input = preprocess.input_hw
    return colour_manifest(
        name="bright",
        task="semantic-segmentation",
        labels=LABELS,
        preprocess=preprocess,
        defaults=Defaults(mask_format="png"),
        inputs=(Tensor(name="images", dtype="uint8", shape=("batch", *model_input, 3)),),
        outputs=tuple(
            Tensor(name=n, dtype="uint8", shape=("batch", *model_input)) for n in ("class_map", "confidence")
        ),
    )


def predictor(preprocess: Preprocess) -> Predictor:
    model = bright_graph(preprocess.input_hw)
    onnx.checker.check_model(model)
    return Predictor(ModelPackage.unsaved(bright_manifest(preprocess), model))


LETTERBOX = Preprocess(mode="letterbox", input_hw=(96, 128), mean=(0, 0, 0), interpolation="bilinear")


@pytest.mark.parametrize("hw", [(1, 1), (333, 517), (4000, 3), (3, 4000), (96, 128), (97, 131)])
@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
def test_the_map_has_exactly_the_images_size(hw: tuple[int, int], mode: str) -> None:
    pre = Preprocess(mode=mode, input_hw=(96, 128), mean=(0, 0, 0))
    dark, bright = (predictor(pre)(np.full((*hw, 3), value, np.uint8)) for value in (10, 200))
    assert dark.class_map.shape == bright.class_map.shape == hw
    assert not dark.class_map.any()
    assert bright.class_map.all()  # the padding, dark, never leaks in


def test_a_known_scene_comes_back_to_the_pixel() -> None:
    """The model input is the image, so every pixel of the answer is known."""
    scene = rectangles((96, 128), 12, seed=1)
    result = predictor(LETTERBOX)(scene.rgb)
    assert np.array_equal(result.class_map, scene.class_map)


@pytest.mark.parametrize("factor", [2, 5])
def test_enlarged_scenes_line_up(factor: int) -> None:
    """An image k times as large: the answer is the small truth, each pixel k x k times; nothing is shifted."""
    scene = rectangles((96, 128), 12, seed=2)
    large = scene.rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    result = predictor(LETTERBOX.model_copy(update={"interpolation": "area"}))(large)
    assert np.array_equal(result.class_map, scene.class_map.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_map_with_the_image(orientation: int) -> None:
    scene = rectangles((96, 128), 12, seed=3)
    stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    image = Image.fromarray(scene.rgb)
    if orientation in stored:
        image = image.transpose(Image.Transpose(stored[orientation]))
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(out, "PNG", exif=exif)
    assert np.array_equal(predictor(LETTERBOX)(out.getvalue()).class_map, scene.class_map)


def test_pixels_take_the_id_at_their_centre() -> None:
    small = np.arange(6, dtype=np.uint8).reshape(2, 3)
    transform = ImageTransform((5, 7), (2, 3), (2, 3), (3 / 7, 2 / 5))
    expected = [[small[int((y + 0.5) * 2 / 5), int((x + 0.5) * 3 / 7)] for x in range(7)] for y in range(5)]
    assert np.array_equal(maps.to_image(small, transform), expected)


def random_map(seed: int, hw: tuple[int, int] = (37, 53), classes: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (6, 8), dtype=np.uint8)
    return coarse.repeat(7, axis=0).repeat(7, axis=1)[: hw[0], : hw[1]].copy()


def test_rle_of_each_class_is_pycocotools_own() -> None:
    ids = random_map(0)
    labels = tuple("abcde")
    rows = maps.rles(ids, labels)
    assert [row["class_id"] for row in rows] == sorted(np.unique(ids))
    for row in rows:
        expected = coco_mask.encode(np.asfortranarray((ids == row["class_id"]).astype(np.uint8)))
        assert row["counts"] == expected["counts"].decode()
        assert row["size"] == list(ids.shape)
    assert np.array_equal(maps.decode({"format": "rle", "classes": rows}, ids.shape), ids)


def test_png_is_the_ids_for_any_reader() -> None:
    ids = random_map(1)
    rendered = maps.png(ids)
    opened = Image.open(io.BytesIO(base64.b64decode(rendered["base64"])))
    assert opened.mode == "L"
    assert np.array_equal(np.asarray(opened), ids)
    assert np.array_equal(maps.decode(rendered, ids.shape), ids)


@pytest.mark.parametrize("mask_format", ["png", "rle", "none"])
def test_rendered_segmentation(mask_format: str) -> None:
    result = SemanticMap(random_map(2, classes=2), LABELS, (37, 53))
    body = TASK.render(result, Options(mask_format=mask_format))["segmentation"]
    assert sum(body["coverage"].values()) == pytest.approx(1, abs=2e-6)
    assert ("mask" in body) == (mask_format != "none")
    with pytest.raises(BadRequest, match="expected one of png, rle, none"):
        TASK.render(result, Options(mask_format="polygon"))


def test_goldens_tolerate_a_thousandth_of_the_pixels() -> None:
    def entry(ids: np.ndarray) -> dict:
        rendered = TASK.render(SemanticMap(ids, LABELS, ids.shape), Options())
        return {"image": {"height": ids.shape[0], "width": ids.shape[1]}, **rendered}

    ids = np.zeros((100, 100), np.uint8)
    near, far = ids.copy(), ids.copy()
    near[0, :10] = 1
    far[0, :11] = 1
    assert TASK.differences(entry(ids), entry(near), GoldenTolerance()) == []
    assert TASK.differences(entry(ids), entry(far), GoldenTolerance())


@dataclass(frozen=True)
class InMemory:
    ids: np.ndarray

    def read(self) -> np.ndarray:
        return self.ids


def brute_force(predicted: np.ndarray, truth: np.ndarray, classes: int) -> dict[str, float]:
    """Definitions written out, pixel by pixel."""
    ious, dices, hits, counted = [], [], 0, 0
    for p, t in zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if t != semantic.IGNORE:
            hits, counted = hits + (p == t), counted + 1
    for k in range(classes):
        both = either = sizes = 0
        for p, t in zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True):
            if t == semantic.IGNORE:
                continue
            both += p == k and t == k
            either += p == k or t == k
            sizes += (p == k) + (t == k)
        if either:
            ious.append(both / either)
            dices.append(2 * both / sizes)
    return {"miou": sum(ious) / len(ious), "dice": sum(dices) / len(dices), "pixel_accuracy": hits / counted}


@pytest.mark.parametrize("seed", range(6))
def test_scores_agree_with_brute_force(seed: int) -> None:
    truth, predicted = random_map(seed), random_map(seed + 100)
    mixed = np.where(np.random.default_rng(seed).random(truth.shape) < 0.6, truth, predicted)
    if seed % 2:
        truth[truth == 3] = semantic.IGNORE  # class 3 is then in no truth
    if seed % 3 == 0:
        mixed[mixed == 3] = 2
    scores = semantic.score_segmentation(
        [SemanticMap(mixed, tuple("abcde"), truth.shape)], [InMemory(truth)], tuple("abcde")
    )
    for name, value in brute_force(mixed, truth, 5).items():
        assert scores.values[name] == pytest.approx(value, abs=1e-9)


def test_images_are_counted_together_not_averaged() -> None:
    small, large = np.zeros((2, 2), np.uint8), np.ones((20, 20), np.uint8)
    results = [SemanticMap(m, LABELS, m.shape) for m in (1 - small, large)]
    scores = semantic.score_segmentation(results, [InMemory(small), InMemory(large)], LABELS)
    assert scores.values["pixel_accuracy"] == pytest.approx(400 / 404)
    assert scores.per_class["bright"]["iou"] == pytest.approx(400 / 404)


def test_boundary_f_score_knows_its_tolerance() -> None:
    truth = np.zeros((120, 160), np.uint8)  # diagonal 200 px: tolerance 2 px
    truth[:, 80:] = 1
    for shift, expected in ((0, 1.0), (2, 1.0), (3, 0.0)):
        predicted = np.roll(truth, shift, axis=1)
        predicted[:, :shift] = 0
        assert semantic.boundary_f_scores(predicted, truth, 2) == [expected, expected]
    assert semantic.boundary_f_scores(truth * 0, truth * 0, 2) == [None, None]


def brute_force_boundary_f(predicted: np.ndarray, truth: np.ndarray, k: int, reach: float) -> float | None:
    """Every boundary pixel against every other one; nothing within reach of an ignored pixel counts."""
    height, width = truth.shape
    ignored = np.argwhere(truth == semantic.IGNORE)

    def near(pixel: tuple[int, int], others: np.ndarray) -> bool:
        return any((pixel[0] - y) ** 2 + (pixel[1] - x) ** 2 <= reach**2 for y, x in others)

    def boundary(ids: np.ndarray) -> np.ndarray:
        points = []
        for y, x in np.argwhere(ids == k).tolist():
            sides = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            if any(0 <= v < height and 0 <= u < width and ids[v, u] != k for v, u in sides):
                points.append((y, x))
        return np.array([p for p in points if not near(p, ignored)]).reshape(-1, 2)

    found, wanted = boundary(predicted), boundary(truth)
    if not len(found) and not len(wanted):
        return None
    precision = sum(near(p, wanted) for p in found) / max(len(found), 1)
    recall = sum(near(p, found) for p in wanted) / max(len(wanted), 1)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize(("seed", "reach"), [(0, 1), (1, 1), (2, 4), (3, 4)])
def test_boundary_f_score_agrees_with_brute_force(monkeypatch: pytest.MonkeyPatch, seed: int, reach: int) -> None:
    truth = random_map(seed)
    monkeypatch.setattr(semantic, "BOUNDARY_TOLERANCE", (reach - 0.5) / np.hypot(*truth.shape))  # ceil: reach pixels
    predicted = np.roll(truth, (seed, 2), axis=(0, 1))
    predicted[predicted == 4] = 0
    truth[10:13, 20:25] = semantic.IGNORE
    expected = [brute_force_boundary_f(predicted, truth, k, reach) for k in range(5)]
    assert semantic.boundary_f_scores(predicted, truth, 5) == pytest.approx(expected, abs=1e-9)
    assert any(f is not None and 0 < f < 1 for f in expected)
