"""A package is read whole and checked to the byte, or not at all."""

import gc
import hashlib
import pickle
import weakref
from pathlib import Path

import pytest

from foveal.errors import BadOutput, BadPackage, GoldenMismatch, UnknownName
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import check_golden
from foveal.packages.package import SUMS, ModelPackage, staged_folder
from foveal.packages.zoo import locate, open_all, versions
from tests.helpers import packages


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return packages.write_colours(tmp_path)


def test_round_trip(package: Path) -> None:
    opened = ModelPackage.open(package)
    assert opened.ref == "colours@1"
    assert opened.manifest == packages.colour_manifest()
    assert opened.digest == "sha256:" + hashlib.sha256((package / SUMS).read_bytes()).hexdigest()
    assert [g.name for g in opened.golden] == ["warm"]
    check_golden(Predictor(opened))


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "CARD.md", "golden/warm.png", "golden/warm.json"])
def test_one_flipped_bit_is_refused_by_name(package: Path, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[len(content) // 2] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(BadPackage, match=f"{name}: expected sha256"):
        ModelPackage.open(package)


def test_missing_and_unlisted_files_are_named(package: Path) -> None:
    (package / "extra.bin").write_bytes(b"1")
    with pytest.raises(BadPackage, match=r"not listed.*extra\.bin"):
        ModelPackage.open(package)
    (package / "extra.bin").unlink()
    (package / "CARD.md").unlink()
    with pytest.raises(BadPackage, match=r"CARD\.md: expected a readable file"):
        ModelPackage.open(package)


@pytest.mark.parametrize("line", ["0" * 64 + "  ../outside", "0" * 64 + "  /etc/passwd", "not a sum"])
def test_sums_never_reach_outside(package: Path, line: str) -> None:
    (package / SUMS).write_text(line + "\n")
    with pytest.raises(BadPackage, match="line 1"):
        ModelPackage.open(package)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema_version": 2', '"schema_version": 1', "schema_version"),
        ('"name": "colours"', '"name": "Bad Name"', "name"),
        ('"red"', '"green"', "no label twice"),
        ('"opset": 18', '"opset": 18, "surprise": 1', "surprise"),
        ("{", "", "manifest.json"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_field(
    package: Path, old: str, new: str, message: str
) -> None:
    text = (package / "manifest.json").read_text()
    assert old in text
    (package / "manifest.json").write_text(text.replace(old, new, 1))
    packages.reseal(package)
    with pytest.raises(BadPackage, match=message):
        ModelPackage.open(package)


def test_a_graph_that_is_none_is_refused(package: Path) -> None:
    (package / "model.onnx").write_bytes(b"this is no graph")
    packages.reseal(package)
    with pytest.raises(BadPackage, match="cannot load the graph"):
        Predictor(ModelPackage.open(package))


def test_goldens_that_are_not_reproduced(package: Path) -> None:
    text = (package / "golden/warm.json").read_text()
    (package / "golden/warm.json").write_text(text.replace('"score":0.99', '"score":0.89'))
    packages.reseal(package)
    with pytest.raises(GoldenMismatch, match=r"colours@1 on cpu, golden/warm\.png: score of 'red': expected 0\.89"):
        check_golden(Predictor(ModelPackage.open(package)))


def test_an_existing_package_is_never_overwritten(tmp_path: Path, package: Path) -> None:
    before = (package / SUMS).read_bytes()
    with pytest.raises(BadOutput, match="does not exist yet"):
        packages.write_colours(tmp_path)
    assert (package / SUMS).read_bytes() == before


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with staged_folder(tmp_path / "zoo" / "x" / "1") as staged:
            (staged / "half").write_text("half")
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        write_half()
    assert list((tmp_path / "zoo" / "x").iterdir()) == []


def test_zoo_versions_and_choices(tmp_path: Path) -> None:
    for version in (1, 2, 10):
        packages.write_colours(tmp_path, version=version)
    packages.write_colours(tmp_path, "other")
    assert versions(tmp_path) == {"colours": [1, 2, 10], "other": [1]}
    assert locate("colours", tmp_path).name == "10"
    assert locate("colours@2", tmp_path).name == "2"
    assert locate(str(tmp_path / "other" / "1")) == tmp_path / "other" / "1"
    assert [p.ref for p in open_all(tmp_path)] == ["colours@1", "colours@2", "colours@10", "other@1"]
    with pytest.raises(UnknownName, match="choices: colours, other"):
        locate("colour", tmp_path)
    with pytest.raises(UnknownName, match="colours@1, colours@10, colours@2"):
        locate("colours@3", tmp_path)


def test_an_empty_zoo_and_a_renamed_package(tmp_path: Path, package: Path) -> None:
    with pytest.raises(BadPackage, match="expected model packages"):
        open_all(tmp_path / "nowhere")
    package.rename(package.parent / "7")
    with pytest.raises(BadPackage, match="expected the folder of colours@1"):
        open_all(tmp_path)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    return packages.write_wide_colours(tmp_path)


def test_external_data_is_listed_hashed_and_answers_as_weights_inside_do(wide: Path, package: Path) -> None:
    assert "  model.onnx.data\n" in (wide / SUMS).read_text()
    beside, inside = (Predictor(ModelPackage.open(path))(packages.png((200, 90, 30))) for path in (wide, package))
    assert beside.label == inside.label
    assert beside.scores == pytest.approx(inside.scores, abs=1e-6)
    check_golden(Predictor(ModelPackage.open(wide)))


@pytest.mark.parametrize("hold_graph", [True, False])
@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_one_flipped_bit_of_the_graph_is_refused_however_it_is_hashed(wide: Path, name: str, hold_graph: bool) -> None:
    content = bytearray((wide / name).read_bytes())
    content[len(content) // 2] ^= 1
    (wide / name).write_bytes(content)
    with pytest.raises(BadPackage, match=f"{name}: expected sha256"):
        ModelPackage.open(wide, hold_graph=hold_graph)
    (wide / name).unlink()
    with pytest.raises(BadPackage, match=f"{name}: expected a readable file"):
        ModelPackage.open(wide, hold_graph=hold_graph)


def test_external_data_that_is_not_listed_is_never_read(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither beside model.onnx, where opening refuses it, nor in the working folder, where ONNX Runtime would look."""
    other = wide.parent.parent / "elsewhere"
    other.mkdir()
    (wide / "model.onnx.data").rename(other / "model.onnx.data")
    packages.reseal(wide)
    monkeypatch.chdir(other)
    with pytest.raises(BadPackage, match="cannot load the graph"):
        Predictor(ModelPackage.open(wide))


@pytest.mark.parametrize("location", ["other.data", "../model.onnx.data", "/etc/hostname"])
def test_external_data_of_another_name_is_refused(tmp_path: Path, location: str) -> None:
    model, weights = packages.with_external_data(packages.wide_colour_graph((8, 8)), "shares", location)
    unsaved = ModelPackage.unsaved(packages.colour_manifest(), model, weights=weights)
    with pytest.raises(BadPackage, match="cannot load the graph"):
        Predictor(unsaved)


@pytest.mark.parametrize("name", ["package", "wide"])
def test_the_session_runs_what_was_hashed_although_the_files_change(name: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    opened = ModelPackage.open(path)
    for file in ("model.onnx", "model.onnx.data"):
        if (path / file).exists():
            (path / file).write_bytes(b"something else")
    first = Predictor(opened)
    check_golden(first)
    with pytest.raises(BadPackage, match=r"model\.onnx: expected sha256"):  # whoever comes later reads them again
        Predictor(opened)
    check_golden(first)


def test_the_graph_is_handed_over_and_verified_again_for_the_next(wide: Path) -> None:
    held, streamed = ModelPackage.open(wide), ModelPackage.open(wide, hold_graph=False)
    assert held == streamed
    graph = held.take_graph()
    assert graph == held.take_graph() == streamed.take_graph()
    assert graph.files == {name: (wide / name).read_bytes() for name in ("model.onnx", "model.onnx.data")}


def test_a_package_keeps_no_graph_once_a_session_has_it(wide: Path) -> None:
    opened = ModelPackage.open(wide)
    (graph,) = opened._held
    gone = weakref.ref(graph)
    del graph
    predictor = Predictor(opened)
    gc.collect()
    assert gone() is None
    check_golden(predictor)


@pytest.mark.parametrize("taken", [False, True])
def test_a_pickled_package_brings_its_graph_along(wide: Path, taken: bool) -> None:
    opened = ModelPackage.open(wide)
    if taken:
        opened.take_graph()
    sent = pickle.dumps(opened)
    for file in wide.glob("model*"):
        file.unlink()
    arrived = pickle.loads(sent)
    assert arrived == opened
    check_golden(Predictor(arrived))
    with pytest.raises(BadPackage, match=r"model\.onnx: expected a readable file"):
        Predictor(arrived)


def test_an_unsaved_package_has_one_session(package: Path) -> None:
    unsaved = ModelPackage.unsaved(packages.colour_manifest(), (package / "model.onnx").read_bytes())
    Predictor(unsaved)
    with pytest.raises(BadPackage, match=r"not written.*model\.onnx: expected a readable file"):
        Predictor(unsaved)
