"""docs/DATA.md: its folder trees are those that the readers read here, its tables those of the code."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from foveal.imaging.image_files import SUFFIXES, is_image_name
from foveal.models.readers import reader_of
from foveal.models.reading.findings import KINDS
from tests.helpers.map_exports import MAPS, ids
from tests.helpers.tool_exports import TOOLS, Habits, Labelled, drawn

PAGE = Path(__file__).parents[2] / "docs" / "DATA.md"


def plain() -> list[Labelled]:
    """The drawn images under plain names."""
    return [Labelled(f"{i:03}", item.split, item.image_hw, item.boxes) for i, item in enumerate(drawn(), 1)]


def build(name: str, root: Path) -> tuple[str, str]:
    """Write a layout; its task and name."""
    if name in MAPS:
        write_map, task, layout = MAPS[name]
        write_map(root)
        return task, layout
    write, layout, _ = TOOLS[name]
    years = {split: f"{split}2017" for split in ("train", "val")} if name == "COCO 2017" else None
    write(root, plain(), Habits(years) if years else Habits())
    return "object-detection", layout


def tree(folder: Path, indent: str = "") -> Iterator[str]:
    """A folder's lines; of many alike, the first."""
    for path in sorted(folder.iterdir(), key=lambda p: (p.is_file(), p.name)):
        alike = [p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix == path.suffix]
        if path.is_dir():
            yield f"{indent}{path.name}/"
            yield from tree(path, indent + "  ")
        elif path in alike[: (shown := 1 if is_image_name(path.name) else 3)]:
            yield f"{indent}{path.name}"
        elif path == alike[shown]:
            yield f"{indent}…"


def section(name: str, root: Path) -> str:
    task, layout = build(name, root)
    lines = "\n".join(tree(root))
    return f"### {name}\n\nRead as: {layout} ({task}).\n\n```text\n{lines}\n```\n"


def expect(marker: str, want: str) -> None:
    """That the page holds this between its marks; UPDATE_DOCS=1 writes it."""
    text = PAGE.read_text()
    head, begin, rest = text.partition(f"<!-- {marker} -->\n")
    _, end, tail = rest.partition(f"<!-- end of {marker} -->")
    assert begin, f"{PAGE}: no mark {marker}"
    assert end, f"{PAGE}: no end of {marker}"
    if "UPDATE_DOCS" in os.environ:
        PAGE.write_text(head + begin + want + end + tail)
    assert want == PAGE.read_text().partition(begin)[2].partition(end)[0], (
        "run UPDATE_DOCS=1 pytest tests/models/test_data_docs.py"
    )


def test_the_trees_are_those_that_are_built(tmp_path: Path) -> None:
    names = [*list(MAPS)[:3], *TOOLS, *list(MAPS)[3:]]
    expect("trees", "\n".join(section(name, tmp_path / str(i)) for i, name in enumerate(names)))


@pytest.mark.parametrize("name", [*MAPS, *TOOLS])
def test_each_tree_is_read(name: str, tmp_path: Path) -> None:
    task, layout = build(name, tmp_path / "set")
    reader = reader_of(task)
    recipe = reader.recipe_type()
    reading = reader.read(tmp_path / "set", recipe)
    assert reading is not None
    assert reading.layout == layout
    stopping = [one for one in reader.findings(reading, recipe) if KINDS[one.kind].stops]
    assert not stopping
    if task == "semantic-segmentation":
        found = {sample.path.stem: sample.truth.read() for sample in reading.samples}
        for stem in ("001", "004"):
            want = ids(stem) if len(reading.labels) == 3 else (ids(stem) > 0).astype(np.uint8)
            np.testing.assert_array_equal(found[stem], want)
    if task == "classification":
        assert all(reading.labels[s.truth] in ("cat", "dog") for s in reading.samples)
    if task == "instance-segmentation":
        assert [len(sample.truth) for sample in reading.samples] == [2] * 4


def test_the_table_of_findings() -> None:
    rows = [f"| {kind} | {'stops' if what.stops else 'listed'} | {what.meaning} |\n" for kind, what in KINDS.items()]
    expect("findings", "| finding | training | meaning |\n|---|---|---|\n" + "".join(rows))


def test_the_suffixes() -> None:
    expect("suffixes", " ".join(f"`{suffix}`" for suffix in SUFFIXES) + "\n")
