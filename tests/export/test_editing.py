"""`foveal package set`: the same graph under other defaults, names and examples, and a card that says what was done."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveal as api
from foveal.errors import BadImage, BadOutput, BadPackage, BadRequest, GoldenMismatch, UnknownName
from foveal.export.card import about_of, card
from foveal.export.editing import edit
from foveal.export.writing import EXAMPLE_PX, Target, example_images
from foveal.packages.package import ModelPackage
from tests.helpers.commandline import foveal
from tests.helpers.packages import colour_manifest, golden_files, mean_colour_graph, write_colours
from tests.helpers.playground_zoo import write_zoo

ABOUT = "Tells paint apart.\n\nMade for **tests**."


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with EXIF (turned, with a place) and a name that no URL likes."""
    path = tmp_path_factory.mktemp("photos") / "my photo, №1.jpg"
    image = Image.new("RGB", (1600, 800), (200, 30, 10))
    exif = image.getexif()
    exif[0x0112] = 6
    exif[0x010E] = "home address"
    image.save(path, exif=exif)
    return path


def set_(zoo: Path, package: str, version: int, *words: object) -> tuple[int, str, str]:
    name = package.partition("@")[0]
    return foveal("package", "set", package, "--zoo", zoo, "--out", zoo / name / str(version), *words)


def test_defaults_of_objects(zoo: Path) -> None:
    words = ("--score-threshold", 0.05, "--iou-threshold", 0.7, "--max-detections", 3)
    code, printed, _ = set_(zoo, "rectangles@1", 11, *words)
    assert code == 0
    old, new = (ModelPackage.open(zoo / "rectangles" / str(version)) for version in (1, 11))
    assert printed.split()[-1] == new.digest
    defaults = new.manifest.pipeline.defaults
    assert (defaults.score_threshold, defaults.iou_threshold, defaults.max_detections) == (0.05, 0.7, 3)
    assert new.take_graph() == old.take_graph()  # byte for byte
    assert foveal("verify", zoo / "rectangles" / "11")[0] == 0
    edited = new.manifest.edited
    assert edited is not None
    assert (edited.ref, edited.digest) == (old.ref, old.digest)
    assert edited.changes["score_threshold"] == f"{old.manifest.pipeline.defaults.score_threshold} → 0.05"
    assert len(api.load("rectangles@11", zoo=zoo)(new.golden[0].image)) <= 3
    for words in ("`foveal package set`", "set by the package's maker", "measured before these defaults were changed"):
        assert words in new.card


def test_edits_add_up(zoo: Path) -> None:
    set_(zoo, "rectangles@1", 12, "--score-threshold", 0.2)
    set_(zoo, "rectangles@12", 13, "--iou-threshold", 0.3)
    edited = ModelPackage.open(zoo / "rectangles" / "13").manifest.edited
    assert edited is not None
    assert edited.ref == "rectangles@12"
    assert set(edited.changes) == {"score_threshold", "iou_threshold"}


def test_renamed_and_dropped_classes(zoo: Path) -> None:
    old = api.load("rectangles@1", zoo=zoo)
    image = old.package.golden[0].image
    before = old(image)
    first, second = old.labels[:2]
    code, _, _ = set_(zoo, "rectangles@1", 21, "--labels", f"{first}=new name", "--classes", "new name")
    assert code == 0
    new = api.load("rectangles@21", zoo=zoo)
    assert new.labels == ("new name", *old.labels[1:])
    found = new(image)
    assert {one.label for one in found} == {"new name"}
    assert len(found) == sum(one.label == first for one in before)
    assert {one.label for one in new(image, classes=[second])} <= {second}  # a request may still ask for it
    assert "Only these classes are answered unless a request names others (`classes`): `new name`" in new.package.card
    golden = json.loads(new.package.golden[0].expected)
    assert {row["label"] for row in golden["detections"]} == {"new name"}


def test_a_renamed_class_stays_left_out_or_in(zoo: Path) -> None:
    label = api.load("rectangles@1", zoo=zoo).labels[0]
    set_(zoo, "rectangles@1", 22, "--classes", label)
    set_(zoo, "rectangles@22", 23, "--labels", f"{label}=again")
    assert ModelPackage.open(zoo / "rectangles" / "23").manifest.pipeline.defaults.classes == ("again",)


def test_examples_replace_examples_and_carry_pixels_only(zoo: Path, photo: Path) -> None:
    code, _, _ = set_(zoo, "colours@1", 31, "--example", photo, "--example", photo, "--top-k", 1, "--about", ABOUT)
    assert code == 0
    package = ModelPackage.open(zoo / "colours" / "31")
    assert package.manifest.examples == ("example-my-photo-1", "example-my-photo-1-2")
    assert "scene" not in {golden.name for golden in package.golden}  # the old example is gone
    shown = zoo / "colours" / "31" / "golden" / "example-my-photo-1.png"
    assert b"home address" not in shown.read_bytes()
    with Image.open(shown) as opened:
        assert opened.size == (EXAMPLE_PX // 2, EXAMPLE_PX)  # turned upright
    assert ABOUT in package.card
    set_(zoo, "colours@31", 32, "--labels", "red=rouge")
    again = ModelPackage.open(zoo / "colours" / "32")
    assert again.manifest.examples == package.manifest.examples
    assert ABOUT in again.card
    assert json.loads(again.golden[0].expected)["classes"][0]["label"] == "rouge"


def test_examples_do_not_prove_as_long_as_drawings_do(tmp_path: Path, photo: Path) -> None:
    old = ModelPackage.open(write_colours(tmp_path))
    edit(old, Target.of(tmp_path / "colours" / "2"), examples=[photo])
    package = ModelPackage.open(tmp_path / "colours" / "2")
    assert [golden.name for golden in package.proofs] == ["warm"]
    assert len(package.golden) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("package", "words", "error", "match"),
        [
            ("colours", ["--score-threshold", 0.5], BadRequest, "does not apply to this task"),
            ("colours", ["--classes", "red"], BadRequest, "does not apply to this task"),
            ("bright", ["--classes", "bright"], BadRequest, "does not apply to this task"),
            ("rectangles", ["--score-threshold", 5], BadRequest, r"expected a number 0\.\.1, got 5"),
            ("rectangles", ["--classes", "nothing"], BadRequest, "unknown class 'nothing'"),
            ("colours", ["--labels", "purple=red"], UnknownName, "unknown label 'purple'"),
            ("colours", ["--labels", "red=green"], BadRequest, "expected no label twice, got 'green'"),
            ("colours", ["--example", "/nowhere/a.png"], BadImage, "/nowhere/a.png: expected a readable file"),
        ],
    )
    def test_what_does_not_fit(self, zoo: Path, package: str, words: list[object], error: type, match: str) -> None:
        with pytest.raises(error, match=match):
            set_(zoo, f"{package}@1", 99, *words)
        assert not (zoo / package / "99").exists()

    def test_names_without_a_sign(self, zoo: Path) -> None:
        code, _, talk = set_(zoo, "colours@1", 99, "--labels", "red")
        assert code == 2
        assert "expected OLD=NEW" in talk

    def test_a_package_that_does_not_reproduce_itself(self, tmp_path: Path) -> None:
        golden = golden_files(colour_manifest(), mean_colour_graph((8, 8), gain=2.0))
        broken = ModelPackage.open(write_colours(tmp_path, golden=golden))
        with pytest.raises(GoldenMismatch):
            edit(broken, Target.of(tmp_path / "colours" / "2"), defaults={"top_k": 1})

    def test_an_example_that_is_no_golden_image(self, tmp_path: Path) -> None:
        path = write_colours(tmp_path, examples=("holiday",))
        with pytest.raises(BadPackage, match="examples: expected golden images, got holiday"):
            ModelPackage.open(path)

    def test_too_many_examples(self, photo: Path) -> None:
        with pytest.raises(BadOutput, match="at most 12 example images, got 13"):
            example_images([photo] * 13)


def test_small_examples_keep_their_pixels(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    assert (example_images([tmp_path / "a.png"])["example-a"] == rgb).all()


@pytest.mark.parametrize("about", ["", "One line.", ABOUT])
def test_the_makers_words_are_found_on_a_card(about: str) -> None:
    manifest = colour_manifest()
    assert about_of(card(manifest, about=about), manifest) == about
    assert about_of("# another card\n", manifest) == ""
