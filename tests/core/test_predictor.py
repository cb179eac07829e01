"""Images in, results out; a batch of n gives what n single calls give."""

from pathlib import Path

import numpy as np
import pytest

import foveal
from foveal.errors import BadImage, BadRequest, ProviderUnavailable, UnknownName
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings, open_session
from foveal.options import Options
from foveal.tasks.classification import Classification, softmax
from tests.helpers import packages


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    zoo = tmp_path_factory.mktemp("zoo")
    packages.write_colours(zoo, input_hw=(16, 16))
    return foveal.load("colours", zoo=zoo)


def test_the_right_answer_from_bytes_path_and_pixels(predictor: Predictor, tmp_path: Path) -> None:
    data = packages.png((10, 200, 30))
    (tmp_path / "green.png").write_bytes(data)
    pixels = np.full((10, 12, 3), (10, 200, 30), np.uint8)
    expected = softmax(np.array([10, 200, 30]) * packages.GAIN / 255)
    for image in (data, tmp_path / "green.png", str(tmp_path / "green.png"), pixels):
        result = predictor(image)
        assert isinstance(result, Classification)
        assert result.label == "green"
        assert result.image_hw == (10, 12)
        assert np.allclose(result.scores, np.sort(expected)[::-1], atol=1e-6)


def test_batch_equals_single_calls_bit_for_bit(predictor: Predictor) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (h, w, 3), dtype=np.uint8) for h, w in [(1, 1), (33, 51), (400, 3), (64, 64)]]
    together = predictor.batch(images)
    for image, result in zip(images, together, strict=True):
        alone = predictor(image)
        assert np.array_equal(alone.scores, result.scores)
        assert np.array_equal(alone.class_ids, result.class_ids)


def test_options_are_an_argument_not_a_state(predictor: Predictor) -> None:
    image = packages.png((9, 9, 9))
    assert len(predictor(image, options=Options(top_k=1)).scores) == 1
    assert len(predictor(image).scores) == 3


def test_unreadable_file_and_bad_bytes(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="expected a readable file"):
        predictor(tmp_path / "none.jpg")
    with pytest.raises(BadImage, match="0 bytes"):
        predictor(b"")


def test_a_silent_cpu_fallback_is_refused() -> None:
    graph = packages.mean_colour_graph((8, 8))
    with pytest.raises(ProviderUnavailable, match="expected execution provider cuda, got cpu"):
        open_session(graph, SessionSettings(provider="cuda"))
    assert open_session(graph, SessionSettings(provider="cuda", strict=False))[1] == "cpu"
    with pytest.raises(UnknownName, match="cpu, cuda, openvino, tensorrt"):
        SessionSettings(provider="gpu")


def test_softmax_is_stable_and_sums_to_one() -> None:
    scores = softmax(np.array([[1e4, 0, -1e4], [1, 2, 3]], np.float32))
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-7)
    assert scores[0, 0] == 1


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"top_k": "0"}, "whole number 1..100000, got '0'"),
        ({"top_k": "²"}, "whole number"),
        ({"top_k": "1e3"}, "whole number"),
        ({"top_k": "9" * 50}, "whole number"),
        ({"score_threshold": "0.5"}, "does not apply to this task; expected some of: top_k"),
        ({"colour": "1"}, "'colour' is unknown"),
    ],
)
def test_bad_parameters(raw: dict[str, str], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        Options.parse(raw, applicable={"top_k"}, labels=("a",))


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "inf", "half", ""])
def test_thresholds_are_fractions(value: str) -> None:
    with pytest.raises(BadRequest, match=r"expected a number 0\.\.1"):
        Options.parse({"score_threshold": value}, applicable={"score_threshold"}, labels=())


def test_classes_are_checked_against_the_labels() -> None:
    parse = {"applicable": {"classes"}, "labels": ("cat", "dog")}
    assert Options.parse({"classes": "dog, cat"}, **parse).classes == ("dog", "cat")
    with pytest.raises(BadRequest, match="unknown class 'cow'; choices: cat, dog"):
        Options.parse({"classes": "cat,cow"}, **parse)
