import json
from pathlib import Path

import pytest

from foveal.errors import BadRecipe
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.tasks import TRAINERS
from tests.helpers.commandline import foveal

RECIPES = Path(__file__).parents[2] / "recipes"


def test_what_is_written_reads_back_equal(tmp_path: Path) -> None:
    recipe = ClassificationRecipe.load(None, ["epochs=3", r"group_by=IMG_(\d+)", "input_hw=[64, 96]", "clip_norm=1"])
    (tmp_path / "r.toml").write_text(recipe.to_toml())
    assert ClassificationRecipe.load(tmp_path / "r.toml") == recipe
    assert recipe.group_by == r"IMG_(\d+)"
    assert recipe.input_hw == (64, 96)


def test_set_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("epochs = 3\nbatch_size = 4\nema_decay = 0.9\n")
    recipe = ClassificationRecipe.load(tmp_path / "r.toml", ["epochs=5", "ema_decay=none", "weights=none"])
    assert (recipe.epochs, recipe.batch_size, recipe.ema_decay, recipe.weights) == (5, 4, None, "none")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("epoch=3", r"unknown recipe field 'epoch'; choices: .*epochs"),
        ("epochs", r"expected name=value"),
        ("epochs=0", r"epochs: .*greater than or equal to 1.*'0'"),
        ("epochs=many", r"epochs: .*integer.*'many'"),
        ("optimizer=magic", r"optimizer: .*'sgd'.*'magic'"),
        ("input_hw=[3]", r"input_hw"),
        ("task=object-detection", r"task: .*classification"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(override: str, said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        ClassificationRecipe.load(None, [override])


@pytest.mark.parametrize("content", ["epochs = ", b"\xff\xfe", None])
def test_unreadable_files(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadRecipe, match=r"r\.toml: expected a TOML file"):
        ClassificationRecipe.load(path)


@pytest.mark.parametrize("task", TRAINERS)
def test_every_field_is_documented_and_every_default_valid(task: str) -> None:
    fields = TRAINERS[task].recipe_type.model_fields
    assert not [name for name, field in fields.items() if not field.description]
    assert TRAINERS[task].recipe_type.load().task == task


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.stem)
def test_shipped_recipes_load(path: Path) -> None:
    import tomllib

    task = tomllib.loads(path.read_text())["task"]
    assert TRAINERS[task].recipe_type.load(path).data_licence != "not stated"


@pytest.mark.parametrize("size", ["small", "medium", "large"])
@pytest.mark.parametrize("task", TRAINERS)
def test_ready_recipes_load_by_name(task: str, size: str) -> None:
    recipe = TRAINERS[task].recipe_type.load(Path(size))
    assert recipe != TRAINERS[task].recipe_type.load()


def test_a_file_wins_over_a_ready_recipe_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small").write_text("epochs = 77")
    monkeypatch.chdir(tmp_path)
    assert ClassificationRecipe.load(Path("small")).epochs == 77


def test_show_prints_what_load_reads(tmp_path: Path) -> None:
    code, printed, talk = foveal("recipe", "show", "--recipe", "large", "--set", "epochs=3")
    assert code == 0
    assert "by the sqrt rule: lr_head 0.002" in talk
    (tmp_path / "shown.toml").write_text(printed)
    shown = ClassificationRecipe.load(tmp_path / "shown.toml")
    assert (shown.epochs, shown.batch_size) == (3, 128)
    code, printed, _ = foveal("recipe", "show", "--task", "object-detection", "--json")
    assert json.loads(printed)["architecture"] == "fasterrcnn"


def test_recipes_of_earlier_versions_load(tmp_path: Path) -> None:
    """What the first version wrote into run folders, word for word of its fields."""
    (tmp_path / "r.toml").write_text('optimizer = "sgd"\nmomentum = 0.8\nschedule = "step"\nlabel_smoothing = 0.05\n')
    recipe = ClassificationRecipe.load(tmp_path / "r.toml")
    assert (recipe.nesterov, recipe.mixup, recipe.lr_scale, recipe.swa_start) == (True, 0, 1, None)
