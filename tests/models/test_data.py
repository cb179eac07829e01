from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.errors import BadData
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import SPLITS, Sample, fingerprint
from foveal.models.reading.reader import imbalance
from foveal.models.reading.splitting import assign_stratified, make_splits


def samples_of(names: list[str], truths: list[str]) -> list[Sample[str]]:
    return [Sample(name, Path(name), truth) for name, truth in zip(names, truths, strict=True)]


def numbered(count: int) -> list[Sample[str]]:
    return samples_of(
        [f"{'abcde'[i % 5]}/IMG_{i:04d}.jpg" for i in range(count)], ["abcde"[i % 5] for i in range(count)]
    )


def recipe(*overrides: str) -> ClassificationRecipe:
    return ClassificationRecipe.load(None, overrides)


def one(sample: Sample[str]) -> dict[str, int]:
    return {sample.truth: 1}


def test_every_class_is_spread_in_proportion() -> None:
    samples = samples_of([f"{i}.jpg" for i in range(230)], ["a"] * 100 + ["b"] * 100 + ["rare"] * 30)
    splits = make_splits(samples, recipe("val_fraction=0.2", "test_fraction=0.1"), one)
    for name, share in zip(SPLITS, (0.7, 0.2, 0.1), strict=True):
        counts = Counter(s.truth for s in splits[name])
        for label, total in (("a", 100), ("b", 100), ("rare", 30)):
            assert abs(counts[label] - share * total) <= 1, (name, label)


def test_same_seed_same_split_other_seed_other_split() -> None:
    samples = numbered(100)
    first = make_splits(samples, recipe("seed=1"), one)
    assert make_splits(samples[::-1], recipe("seed=1"), one).counts() == first.counts()
    assert {s.name for s in make_splits(samples[::-1], recipe("seed=1"), one).test} == {s.name for s in first.test}
    assert {s.name for s in make_splits(samples, recipe("seed=2"), one).test} != {s.name for s in first.test}


@given(
    groups=st.lists(st.integers(0, 12), min_size=20, max_size=120),
    seed=st.integers(0, 5),
    classes=st.integers(1, 4),
)
def test_groups_never_straddle_and_nothing_is_lost(groups: list[int], seed: int, classes: int) -> None:
    names = [str(group) for group in groups]
    strata = [{str(i % classes): 1} for i in range(len(groups))]
    assigned = assign_stratified(strata, names, (0.6, 0.2, 0.2), seed)
    assert len(assigned) == len(groups)
    for group in set(names):
        assert len({split for g, split in zip(names, assigned, strict=True) if g == group}) == 1


def test_group_by_keeps_a_patient_together() -> None:
    samples = samples_of([f"p{i // 7}-{i}.png" for i in range(140)], ["ab"[i % 2] for i in range(140)])
    splits = make_splits(samples, recipe("group_by=^(p\\d+)"), one)
    patients = [{s.name.split("-")[0] for s in splits[name]} for name in SPLITS]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]
    assert sum(map(len, patients)) == 20


def test_blocks_of_numbers_with_a_guard_leave_a_gap_around_held_out_numbers() -> None:
    samples = numbered(1000)
    splits = make_splits(samples, recipe(r"group_by=IMG_(\d+)", "group_block=50", "group_guard=12"), one)
    number = {name: np.array([int(s.name[6:10]) for s in splits[name]]) for name in SPLITS}
    for name in SPLITS:
        assert len(number[name])
    assert len(number["test"]) == 150  # the strictest split keeps whole blocks
    assert all(Counter(number["test"] // 50)[block] == 50 for block in set(number["test"] // 50))
    held_out = np.concatenate([number["val"], number["test"]])
    assert np.abs(number["train"][:, None] - held_out).min() == 13
    assert np.abs(number["val"][:, None] - number["test"]).min() > 12


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["group_by=("], "expected a regular expression"),
        (["group_by=patient"], "expected a match in every name, got none in 'a/IMG_0000.jpg'"),
        (["group_by=(IMG)", "group_block=10"], "expected to capture numbers, got 'IMG'"),
        (["group_guard=3"], "expected group_by"),
        (["group_by=(IMG)"], "expected samples in split"),  # one group cannot fill two splits
        (["val_fraction=0.5", "test_fraction=0.5"], "expected less than 1"),
    ],
)
def test_bad_groupings(overrides: list[str], said: str) -> None:
    with pytest.raises(BadData, match=said):
        make_splits(numbered(30), recipe(*overrides), one)


class TestSplitFile:
    def split(self, tmp_path: Path, text: str) -> dict[str, list[str]]:
        (tmp_path / "s.csv").write_text(text)
        splits = make_splits(
            samples_of(["x", "y", "z"], ["a", "b", "a"]), recipe(f"split_file={tmp_path / 's.csv'}"), one
        )
        return {name: [s.name for s in splits[name]] for name in SPLITS}

    def test_is_taken_literally_and_may_leave_out(self, tmp_path: Path) -> None:
        assert self.split(tmp_path, "name,split\nz,train\nx,val\ny,\n") == {"train": ["z"], "val": ["x"], "test": []}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("file,split\nx,train\n", "expected the columns name,split"),
            ("name,split\nx,train\ny,val\nz,test\nw,test\n", "not in the data set: 'w'"),
            ("name,split\nx,train\ny,val\n", "without a line.*'z'"),
            ("name,split\nx,train\ny,val\nz,dev\n", "got 'dev'"),
            ("name,split\nx,train\ny,test\nz,test\n", "samples in split 'val'"),
        ],
    )
    def test_faults_are_named(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(BadData, match=said):
            self.split(tmp_path, text)

    def test_no_file(self) -> None:
        with pytest.raises(BadData, match="expected a CSV file"):
            make_splits(numbered(9), recipe("split_file=nowhere.csv"), one)


def test_fingerprint_follows_names_bytes_and_labels_not_order(tmp_path: Path) -> None:
    for name in "xy":
        (tmp_path / name).write_bytes(name.encode())
    plain = [Sample("x", tmp_path / "x", 0), Sample("y", tmp_path / "y", 1)]
    first = fingerprint(plain, str)
    assert fingerprint(plain[::-1], str) == first
    assert fingerprint([plain[0], Sample("y", tmp_path / "y", 0)], str) != first
    assert fingerprint([plain[0], Sample("w", tmp_path / "y", 1)], str) != first
    (tmp_path / "y").write_bytes(b"Y")
    assert fingerprint(plain, str) != first


def test_imbalance_is_said_only_where_it_is() -> None:
    assert imbalance({"cat": 90, "dog": 30}, "samples") == ["30 (dog) to 90 (cat) samples a label"]
    assert imbalance({"cat": 91, "dog": 30}, "samples")[0].startswith("class imbalance: 30 (dog) to 91 (cat)")
