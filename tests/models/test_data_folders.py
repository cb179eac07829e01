"""Classification by folders and tables: names of splits, what is no class, what is left out, findings."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from foveal.errors import BadData
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.data.dataset import SPLITS, Sample
from foveal.models.readers import check_data, load_data
from foveal.models.reading.findings import Finding
from tests.helpers.commandline import foveal
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
        ({"train": 7, "valid": 2}, {"train": 18, "val": 6, "test": 3}),
        ({"Train": 6, "Val": 2, "TEST": 2}, {"train": 18, "val": 6, "test": 6}),
        ({"training": 6, "validation": 2, "testing": 2}, {"train": 18, "val": 6, "test": 6}),
        ({"train2017": 6, "val2017": 2, "test2017": 2}, {"train": 18, "val": 6, "test": 6}),
        ({"trainval": 20, "test": 3}, {"train": 51, "val": 9, "test": 9}),
        ({"seg_train/seg_train": 6, "seg_val/seg_val": 2, "seg_test/seg_test": 2}, {"train": 18, "val": 6, "test": 6}),
        ({"set/train/images": 6, "set/dev/images": 2, "set/test/images": 2}, {"train": 18, "val": 6, "test": 6}),
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
    assert data.labels == tuple(COLOURS)


def test_a_held_out_class_that_train_lacks_is_refused(tmp_path: Path) -> None:
    root = split_folders(tmp_path, train=4, val=2)
    shutil.rmtree(root / "train" / "red")
    with pytest.raises(BadData, match=r"class not in train: 1 .*\n  -: red"):
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
    with pytest.raises(BadData, match="expected one of a table of file names and labels, one folder a class"):
        load_data(RECIPE, tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="nowhere: expected a folder"):
        load_data(RECIPE, tmp_path / "nowhere")


def findings(root: Path) -> dict[str, list[Finding]]:
    """By kind, of the classification reader."""
    by_kind: dict[str, list[Finding]] = {}
    for one in check_data(root, names=5, task="classification").found:
        by_kind.setdefault(one.kind, []).append(one)
    return by_kind


def samples(root: Path) -> list[Sample[int]]:
    data = load_data(RECIPE, root)
    return sorted((s for split in SPLITS for s in data.splits[split]), key=lambda s: s.name)


def draw_flat(folder: Path, count: int) -> list[Path]:
    """Different images directly in a folder."""
    drawn = sorted(draw_folders(folder / ".draw", per_class=-(-count // 3)).rglob("*.png"))
    for path in drawn:
        shutil.move(path, folder / path.name)
    shutil.rmtree(folder / ".draw")
    return sorted(folder.glob("*.png"))[:count]


@pytest.mark.parametrize(
    "names", [("Train", "Val"), ("train", "test"), ("seg_train", "seg_test"), ("train", "valid", "x")]
)
def test_folders_of_splits_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        draw_flat(tmp_path / "set" / name, 6)
    first, second = sorted(names)[:2]
    with pytest.raises(BadData, match=rf"'{first}', '{second}' are named after splits: expected a folder for"):
        load_data(RECIPE, tmp_path / "set")


@pytest.mark.parametrize("nested", ["", "2019/may"])
def test_a_class_may_be_called_train(tmp_path: Path, nested: str) -> None:
    for name in ("bus", "car", "train"):
        draw_flat(tmp_path / name / nested, 6)
    assert load_data(RECIPE, tmp_path).labels == ("bus", "car", "train")


def test_folders_of_other_layouts_are_no_classes(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        draw_flat(tmp_path / name, 6)
    with pytest.raises(BadData, match="expected one of"):
        load_data(RECIPE, tmp_path)


def test_what_is_left_out_is_listed(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "set", per_class=8)
    shutil.copy(root / "red" / "img_0002.png", root / "cover.png")
    (root / "red" / "clip.mov").write_bytes(b"-")
    (root / "yellow").mkdir()
    (root / "cyan").write_text("a file, no class")
    for hidden in (".ipynb_checkpoints", "@eaDir/img_0002.png", "__MACOSX"):
        (root / "red" / hidden).mkdir(parents=True)
        shutil.copy(root / "red" / "img_0002.png", root / "red" / hidden / "copy.png")
    (root / "red" / "folder.jpg").mkdir()
    found = findings(root)
    assert [one.name for one in found["left out"]] == ["cover.png"]
    assert [one.detail for one in found["empty label"]] == ["yellow"]
    assert found.keys() == {"left out", "empty label"}
    assert "1 file passed over (.mov 1)" in load_data(RECIPE, root).notes
    assert len(samples(root)) == 24


def test_test_images_without_a_class_are_left_out(tmp_path: Path) -> None:
    root = split_folders(tmp_path / "set", train=8)
    draw_flat(root / "test", 6)
    assert len(findings(root)["left out"]) == 6
    assert len(samples(root)) == 24


def test_every_suffix_of_a_jpeg_is_read(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "set", per_class=8, suffix=".jpg")
    for path, suffix in zip(sorted((root / "red").iterdir()), (".jfif", ".jpe", ".mpo", ".JPG", ".JPEG"), strict=False):
        path.rename(path.with_suffix(suffix))
    assert len(samples(root)) == 24
    assert check_data(root, names=5).findings == ()


def test_copies_and_labels_alike_are_found(tmp_path: Path) -> None:
    root = split_folders(tmp_path / "set", train=4, val=2)
    for path in sorted((root / "val").rglob("*.png")):
        path.write_bytes(path.read_bytes() + b"val")  # other files: the drawings are the same
    assert "same image" not in findings(root)
    shutil.copy(root / "train" / "red" / "img_0002.png", root / "train" / "blue" / "other.png")
    shutil.copy(root / "train" / "red" / "img_0005.png", root / "val" / "red" / "other.png")
    for split in ("train", "val"):
        (root / split / "green").rename(root / split / "Red")
    found = findings(root)
    assert [one.detail for one in found["same image"]] == [
        "blue; as train/red/img_0002.png it is red",
        "train; as val/red/other.png it is in val",
    ]
    assert [one.detail for one in found["labels alike"]] == ["'Red', 'red'"]


def test_decomposed_names_are_one_class(tmp_path: Path) -> None:
    for split, form in (("train", "NFC"), ("val", "NFD")):
        for name in ("Tür", "Öl"):
            draw_flat(tmp_path / split / unicodedata.normalize(form, name), 6)
    assert load_data(RECIPE, tmp_path).labels == ("Tür", "Öl")


TABLES = {
    "train.csv": ("filename,label", "{name},{label}"),
    "labels.csv": ("\ufeffImage_ID;Breed", "{stem};{label}"),
    "data.tsv": ("path\tclass", "C:\\photos\\{name}\t{label}"),
    "_classes.csv": ("filename, blue, green, red", "{name}, {hot}"),
    "metadata.jsonl": (None, '{{"file_name": "{name}", "label": "{label}"}}'),
    "plain.csv": (None, "{name},{label}"),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_labels(tmp_path: Path, table: str) -> None:
    root = draw_folders(tmp_path / "set", per_class=8)
    header, line = TABLES[table]
    rows, labels = [], {}
    (root / "images").mkdir()
    for path in sorted(root.rglob("*.png")):
        label = labels[path.name] = path.parent.name
        hot = ", ".join(str(int(label == one)) for one in COLOURS)
        rows.append(line.format(name=path.name, stem=path.stem, label=label, hot=hot))
        shutil.move(path, root / "images" / path.name)
    for label in COLOURS:
        (root / label).rmdir()
    (root / table).write_text("\n".join([header, *rows] if header else rows))
    (root / "sample_submission.csv").write_text("filename,label\nimg_0000.png,red")
    assert {s.path.name: tuple(COLOURS)[s.truth] for s in samples(root)} == labels
    with (root / table).open("a") as file:
        file.write("\n" + line.format(name="gone.png", stem="gone", label="red", hot="0, 0, 1"))
    assert [one.detail.rpartition("\\")[2][:4] for one in findings(root)["missing image"]] == ["gone"]


def test_a_table_a_split(tmp_path: Path) -> None:
    for split, count in (("train", 12), ("val", 6)):
        paths = draw_flat(tmp_path / split, count)
        lines = [f"{path.name},{'ab'[i % 2]}" for i, path in enumerate(paths)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["image,target", *lines]))
    assert load_data(RECIPE.model_copy(update={"test_fraction": 0.0}), tmp_path).splits.counts() == {
        "train": 12,
        "val": 6,
        "test": 0,
    }


def test_a_table_of_boxes_is_no_table_of_classes(tmp_path: Path) -> None:
    paths = draw_flat(tmp_path / "images", 6)
    lines = [f"{path.name},90,60,{'ab'[i % 2]},1,2,3,4" for i, path in enumerate(paths)]
    (tmp_path / "boxes.csv").write_text("\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *lines]))
    with pytest.raises(BadData, match="expected one of"):
        load_data(RECIPE, tmp_path)


def test_data_check_reads_class_folders(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "set", per_class=8)
    assert foveal("data", "check", root)[0] == 0
    (root / "red" / "bad.png").write_bytes(b"no image")
    code, printed, _ = foveal("data", "check", root, "--json")
    assert code == 1
    said = json.loads(printed)
    assert (said["task"], said["layout"]) == ("classification", "one folder a class")
    assert [(one["kind"], one["name"], one["stops"]) for one in said["findings"]] == [
        ("unreadable image", "red/bad.png", True)
    ]
    with pytest.raises(BadData, match="expected one of"):
        foveal("data", "check", root, "--task", "object-detection")
