import shutil
from pathlib import Path

import pytest

from foveal.errors import BadData
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import SPLITS
from foveal.models.readers import load_data
from tests.helpers.images import COLOURS, draw_folders

RECIPE = ClassificationRecipe.load()


def test_one_folder_a_class(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "set", per_class=20)
    (root / "red" / "notes.txt").write_text("not an image")
    (root / ".cache").mkdir()
    data = load_data(RECIPE, root)
    assert data.labels == ("blue", "green", "red")
    assert data.splits.counts() == {"train": 42, "val": 9, "test": 9}
    assert (data.name, data.layout) == ("set", "one folder a class")
    for name in SPLITS:
        for sample in data.splits[name]:
            assert sample.name.split("/")[0] == data.labels[sample.truth]
            assert sample.path == root / sample.name


def split_folders(tmp_path: Path, **per_class: int) -> Path:
    for split, count in per_class.items():
        draw_folders(tmp_path / split, per_class=count)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({"train": 6, "val": 2, "test": 3}, {"train": 18, "val": 6, "test": 9}),
        ({"train": 6, "valid": 2}, {"train": 18, "val": 6, "test": 0}),
        ({"train": 20, "test": 3}, {"train": 51, "val": 9, "test": 9}),
        ({"train": 20}, {"train": 42, "val": 9, "test": 9}),
    ],
)
def test_given_splits_are_kept_and_missing_ones_made_from_train(tmp_path: Path, given: dict, counts: dict) -> None:
    data = load_data(RECIPE, split_folders(tmp_path, **given))
    assert data.splits.counts() == counts
    names = [{s.name for s in data.splits[split]} for split in SPLITS]
    assert not names[0] & names[1]
    if "test" in given:
        assert all(name.startswith("test/") for name in names[2])


def test_a_held_out_class_that_train_lacks_is_refused(tmp_path: Path) -> None:
    root = split_folders(tmp_path, train=4, val=2)
    shutil.rmtree(root / "train" / "red")
    with pytest.raises(BadData, match=r"val: classes that .*train does not have: 'red'"):
        load_data(RECIPE, root)


def test_a_class_may_be_missing_from_a_held_out_split(tmp_path: Path) -> None:
    root = split_folders(tmp_path, train=4, val=2)
    shutil.rmtree(root / "val" / "blue")
    data = load_data(RECIPE, root)
    assert data.labels == tuple(COLOURS)
    assert {s.truth for s in data.splits.val} == {1, 2}


@pytest.mark.parametrize("made", [[], ["cats"], ["a.txt"]])
def test_what_is_no_data_set_says_what_was_expected(tmp_path: Path, made: list[str]) -> None:
    for name in made:
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).write_text("")
    with pytest.raises(BadData, match="expected at least two folders of images"):
        load_data(RECIPE, tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="nowhere: expected a folder"):
        load_data(RECIPE, tmp_path / "nowhere")
