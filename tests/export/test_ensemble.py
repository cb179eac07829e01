"""An ensemble is the mean of its members: by the command, over HTTP, on its card; and only of what fits together."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from foveal.errors import BadData, BadEnsemble, ParityFailure
from foveal.export.ensemble import build as ensembles
from foveal.export.ensemble.graph import mean_graph
from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Predictor
from foveal.packages.manifest import Licences, Tensor
from foveal.packages.package import Graph, ModelPackage
from tests.helpers.commandline import foveal
from tests.helpers.packages import png
from tests.helpers.painted_classes import LABELS, MEMBERS, RECIPE, member, paint
from tests.helpers.servers import Server


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("data") / "paint")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The members and, as `together`, their mean."""
    zoo = tmp_path_factory.mktemp("zoo")
    for name in MEMBERS:
        member(zoo, name, data)
    code, printed, talk = foveal(
        "ensemble", *MEMBERS, "--zoo", zoo, "--data", data, "--out", zoo / "together" / "1", "--about", "Names paint."
    )
    assert code == 0, talk
    assert printed == f"{zoo / 'together' / '1'} {ModelPackage.open(zoo / 'together' / '1').digest}\n"
    return zoo


def opened(zoo: Path, *names: str) -> list[ModelPackage]:
    return [ModelPackage.open(zoo / name / "1") for name in names]


def test_over_http_it_answers_the_mean_of_its_members(zoo: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = [png(tuple(rgb), (9, 14)) for rgb in random.integers(0, 256, (6, 3)).tolist()]

    def scores(server: Server, model: str, image: bytes) -> np.ndarray:
        answer = httpx.post(f"{server.url}/v1/classify?model={model}&top_k=3", content=image, timeout=60)
        rows = {row["label"]: row["score"] for row in answer.raise_for_status().json()["results"][0]["classes"]}
        return np.array([rows[label] for label in LABELS])

    with Server(zoo, tmp_path / "log.txt") as server:
        for image in images:
            own = np.stack([scores(server, name, image) for name in MEMBERS])
            assert own.std(axis=0).max() > 0.01  # they do disagree
            np.testing.assert_allclose(scores(server, "together", image), own.mean(axis=0), rtol=0, atol=1e-6 + 1e-12)


def test_the_graph_against_a_mean_spelt_out(zoo: Path) -> None:
    rgb = np.array([200, 120, 90])
    expected = []
    for given in MEMBERS.values():
        logits = rgb / 255 * np.array(given["gain"]) / given["calibration"].get("temperature", 1.0)
        expected.append(np.exp(logits) / np.exp(logits).sum())
    result = Predictor(opened(zoo, "together")[0])(png((200, 120, 90)))
    found = result.scores[np.argsort(result.class_ids)]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-6)


def test_verify_evaluate_and_the_card_know_it_as_any_classifier(zoo: Path, data: Path) -> None:
    together = zoo / "together" / "1"
    assert foveal("verify", together)[0] == 0
    manifest = ModelPackage.open(together).manifest
    assert manifest.parity.measured["probability_max_abs"] <= 1e-6
    assert manifest.recipe == RECIPE
    text = (together / "CARD.md").read_text()
    shown = {}
    for ref in ("even", "reddish", "bluish", "together"):
        code, printed, talk = foveal("evaluate", ref, "--zoo", zoo, "--data", data, "--json")
        assert (code, talk) == (0, "")  # the very data set, split as in training
        shown[ref] = json.loads(printed)["values"]
    assert [row.ref for row in manifest.members] == ["even@1", "reddish@1", "bluish@1"]
    for row in manifest.members:
        name = row.ref.removesuffix("@1")
        assert row.values == pytest.approx(shown[name], abs=1e-6)
        assert row.digest == opened(zoo, name)[0].digest
        assert f"| {row.ref} | {shown[name]['top1']:.4f} |" in text
    assert len({row.values["top1"] for row in manifest.members}) > 1
    assert manifest.metrics.values == pytest.approx(shown["together"], abs=1e-6)


def test_the_same_members_give_the_same_bytes(zoo: Path) -> None:
    members = opened(zoo, *MEMBERS)
    assert mean_graph(members) == mean_graph(members) == opened(zoo, "together")[0].take_graph()


def test_an_ensemble_of_an_ensemble(zoo: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "zoo" / "more" / "1"
    assert foveal("ensemble", "together", "even", "--zoo", zoo, "--data", data, "--out", out)[0] == 0
    pair = [Predictor(package) for package in opened(zoo, "together", "even")]
    image = png((90, 160, 100))
    want = np.mean([r.scores[np.argsort(r.class_ids)] for r in (p(image) for p in pair)], axis=0)
    result = Predictor(ModelPackage.open(out))(image)
    np.testing.assert_allclose(result.scores[np.argsort(result.class_ids)], want, atol=1e-6)


INPUT_HW = {
    "input_hw": (16, 16),
    "preprocess": Preprocess(mode="stretch", input_hw=(16, 16)),
    "inputs": (Tensor(name="images", dtype="uint8", shape=("batch", 16, 16, 3)),),
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"labels": ("1-red", "3-blue", "2-green")},
            r"labels: expected the 1-red, 2-green, 3-blue of even@1; got 1-red",
        ),
        (INPUT_HW, r"preprocess: expected the .*'input_hw': \(8, 8\).* of even@1; got .*\(16, 16\).* of other@1"),
        ({"preprocess": Preprocess(mode="letterbox", input_hw=(8, 8))}, "preprocess: expected the"),
        ({"opset": 17}, "opset: expected the 18 of even@1; got 17 of other@1"),
        ({"recipe": {"seed": 5}}, "expected one test split, which no member learnt from"),
    ],
    ids=["labels", "model_input", "resize", "opset", "split"],
)
def test_members_that_do_not_fit_are_refused(changes: dict, words: str, zoo: Path, data: Path, tmp_path: Path) -> None:
    other = member(tmp_path, "other", data, gain=5.0, **changes)
    with pytest.raises(BadEnsemble, match=words):
        foveal("ensemble", zoo / "even" / "1", other, "--data", data, "--out", tmp_path / "zoo" / "x" / "1")
    assert not (tmp_path / "zoo").exists()


def test_other_tasks_too_few_members_and_other_data_are_refused(zoo: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "zoo" / "x" / "1"
    with pytest.raises(BadEnsemble, match="two or more different packages, got even@1, even@1"):
        foveal("ensemble", "even", "even", "--zoo", zoo, "--data", data, "--out", out)
    even, reddish = opened(zoo, "even", "reddish")
    pipeline = reddish.manifest.pipeline.model_copy(update={"task": "object-detection"})
    detector = replace(reddish, manifest=reddish.manifest.model_copy(update={"pipeline": pipeline}))
    with pytest.raises(BadEnsemble, match="reddish@1: expected a classifier, got object-detection"):
        ensembles.expect_alike([even, detector])
    with pytest.raises(BadData, match="data set that even@1 was trained with"):
        foveal("ensemble", *MEMBERS, "--zoo", zoo, "--data", paint(tmp_path / "d", count=11), "--out", out)


def test_other_normalisations_are_no_obstacle_and_licences_add_up(zoo: Path, data: Path, tmp_path: Path) -> None:
    plain = Preprocess(mode="stretch", input_hw=(8, 8), mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    other = member(tmp_path, "other", data, gain=5.0, preprocess=plain, licences=Licences(data="x", weights="y"))
    out = tmp_path / "zoo" / "both" / "1"
    assert foveal("ensemble", zoo / "even" / "1", other, "--data", data, "--out", out)[0] == 0
    assert ModelPackage.open(out).manifest.licences == Licences(data="none: drawn; x", weights="none: no weights; y")


def test_a_graph_that_is_not_the_mean_is_not_written(
    zoo: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of members' temperatures mixed up, as a bug of the merge might do."""

    def wrong(members: list[ModelPackage], **options: int) -> Graph:
        turned = [member.manifest.pipeline.calibration for member in members[1:] + members[:1]]
        specs = [
            m.manifest.pipeline.model_copy(update={"calibration": c}) for m, c in zip(members, turned, strict=True)
        ]
        manifests = [m.manifest.model_copy(update={"pipeline": spec}) for m, spec in zip(members, specs, strict=True)]
        packages = [replace(m, manifest=manifest) for m, manifest in zip(members, manifests, strict=True)]
        return mean_graph(packages, **options)

    monkeypatch.setattr(ensembles, "mean_graph", wrong)
    with pytest.raises(ParityFailure, match="probabilities: expected within 1e-06, got a difference of"):
        foveal("ensemble", *MEMBERS, "--zoo", zoo, "--data", data, "--out", tmp_path / "zoo" / "x" / "1")
    assert not (tmp_path / "zoo").exists()
