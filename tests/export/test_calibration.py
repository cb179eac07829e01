"""Temperature scaling: recovered where it is known, never another answer, and the error before and after it."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foveal.export.evaluation.calibrate import HIGHEST, LOWEST, fit_temperature
from foveal.imaging.preprocess import ImageTransform
from foveal.inference.pipeline import Predictor
from foveal.options import Options
from foveal.packages.manifest import Manifest
from foveal.packages.package import ModelPackage
from foveal.tasks.classification import Classification, ClassificationTask, softmax
from tests.helpers import runs
from tests.helpers.commandline import foveal
from tests.helpers.packages import colour_manifest, png, write_colours

LOGITS = hnp.arrays(np.float32, st.integers(2, 9), elements=st.floats(-60, 60, width=32))


def decoded(logits: np.ndarray, temperature: float | None) -> Classification:
    labels = tuple("abcdefghi"[: len(logits)])
    spec = colour_manifest(labels=labels, calibration={"temperature": temperature}).pipeline
    transform = ImageTransform(image_hw=(4, 4), input_hw=(4, 4), content_hw=(4, 4), scale_xy=(1.0, 1.0))
    return ClassificationTask().decode({"logits": logits}, transform, spec, Options(top_k=100).resolved(spec.defaults))


@given(logits=LOGITS, temperature=st.floats(0.02, 64))
def test_no_temperature_changes_the_first_class(logits: np.ndarray, temperature: float) -> None:
    result = decoded(logits, temperature)
    assert result.class_ids[0] == logits.argmax()
    assert sorted(result.class_ids) == list(range(len(logits)))
    expected = [math.exp((float(v) - float(logits.max())) / temperature) for v in logits]
    np.testing.assert_allclose(result.scores, np.sort(np.array(expected) / sum(expected))[::-1], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.5])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    """Labels drawn from softmax(z): logits z * T are T times too sharp."""
    random = np.random.default_rng(7)
    honest = random.normal(0, 2, (20_000, 5))
    drawn = (random.gumbel(size=honest.shape) + honest).argmax(axis=1)  # a sample of softmax(honest)
    found = fit_temperature((honest * temperature).astype(np.float32), drawn)
    assert found == pytest.approx(temperature, rel=0.03)


def test_it_is_the_lowest_likelihood_of_a_fine_grid() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 4, (300, 4))
    truth = np.where(random.random(300) < 0.7, logits.argmax(1), random.integers(0, 4, 300))

    def loss(temperature: float) -> float:
        """Against targets with one more mistake than was seen, spelt out."""
        total = 0.0
        for row, right in zip(logits, truth, strict=True):
            log_sum = math.log(sum(math.exp(v / temperature) for v in row))
            for i, value in enumerate(row):
                share = 1 - 1 / 302 if i == right else 1 / 302 / 3
                total -= share * (value / temperature - log_sum)
        return total

    grid = np.exp(np.linspace(math.log(0.5), math.log(20), 400))
    assert fit_temperature(logits, truth) == pytest.approx(grid[np.argmin([loss(t) for t in grid])], rel=0.01)


def test_a_val_split_without_a_mistake_does_not_make_scores_of_one() -> None:
    logits = np.eye(3)[np.arange(60) % 3] * 2.0
    temperature = fit_temperature(logits, np.arange(60) % 3)
    assert 0.2 < temperature < 1  # more sure than it was
    assert softmax(logits[0], temperature=temperature)[0] == pytest.approx(1 - 1 / 62, abs=1e-4)


@pytest.mark.parametrize(
    ("logits", "truth", "expected"),
    [(np.array([[3.0, 0.0]] * 5), [1] * 5, HIGHEST), (np.zeros((4, 1)), [0] * 4, 1.0)],
    ids=["always wrong: as unsure as can be", "one class"],
)
def test_what_has_no_finite_answer(logits: np.ndarray, truth: list[int], expected: float) -> None:
    assert fit_temperature(logits, np.array(truth)) == pytest.approx(expected, rel=1e-3)
    assert LOWEST < 1 < HIGHEST


@pytest.mark.parametrize("temperature", [0, -1, "NaN", "Infinity"])
def test_a_temperature_that_is_none_is_refused(temperature: object) -> None:
    text = colour_manifest().model_dump_json().replace('"temperature":null', f'"temperature":{json.dumps(temperature)}')
    with pytest.raises(ValueError, match="temperature"):
        Manifest.model_validate_json(text)


def test_packages_without_the_field_answer_as_before(tmp_path) -> None:
    old = colour_manifest().model_dump(mode="json")
    for calibration in ({}, None):
        if calibration is None:
            del old["pipeline"]["calibration"]
        else:
            old["pipeline"]["calibration"] = calibration
        assert Manifest.model_validate(old).pipeline.calibration.temperature is None
    plain, warm = (
        Predictor(ModelPackage.open(write_colours(tmp_path, name, calibration=calibration)))(png((200, 90, 30)))
        for name, calibration in (("plain", {}), ("warm", {"temperature": 2.0}))
    )
    logits = np.array([200, 90, 30]) / 255 * 8
    for result, temperature in ((plain, 1), (warm, 2)):
        expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        np.testing.assert_allclose(result.scores, expected, rtol=1e-6)


def test_export_fits_on_val_and_reports_on_test(tmp_path) -> None:
    run = runs.classifier_run(tmp_path, "lenet5_modern", model_input=32)
    out = tmp_path / "zoo" / "colours" / "1"
    assert foveal("export", run.path, "--out", out, "--max-batch", 2)[0] == 0
    manifest = ModelPackage.open(out).manifest
    found = manifest.pipeline.calibration
    assert found.images == len(run.data.splits.val)
    before, after = (
        json.loads(foveal("evaluate", model, "--data", run.root, "--json")[1]) for model in (run.path, out)
    )
    assert found.ece_before == pytest.approx(before["values"]["ece"], abs=1e-4)
    assert list(found.ece_before_95) == pytest.approx(before["intervals_95"]["ece"], abs=1e-4)
    assert manifest.metrics.values["ece"] == pytest.approx(after["values"]["ece"], abs=1e-6)
    assert before["values"]["ece"] != pytest.approx(after["values"]["ece"], abs=1e-3)
    assert before["confusion"] == after["confusion"]
    text = (out / "CARD.md").read_text()
    assert f"temperature of {found.temperature:.4g}" in text
    assert f"{found.ece_before:.4f}" in text
