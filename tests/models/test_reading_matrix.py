"""Seventeen tools' layouts times six habits of files and names: the same truth, box for box."""

from pathlib import Path

import numpy as np
import pytest

from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.readers import reader_of
from foveal.models.reading.findings import KINDS
from tests.helpers.tool_exports import TOOLS, Habits, drawn

HABITS = {
    "clean": Habits(),
    "BOM": Habits(bom=True),
    "backslashes": Habits(backslashes=True),
    "decomposed names": Habits(decomposed=True),
    "wrapped": Habits(),
    "valid": Habits(split_names={"train": "Train", "val": "valid"}),
    "val2017": Habits(split_names={"train": "train2017", "val": "val2017"}),
}


@pytest.mark.parametrize("habits", HABITS)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_truth(tool: str, habits: str, tmp_path: Path) -> None:
    write, layout, has_splits = TOOLS[tool]
    items = drawn()
    root = tmp_path / "set"
    write(root / "export" / "animals" if habits == "wrapped" else root, items, HABITS[habits])
    reader, recipe = reader_of("object-detection"), DetectionRecipe()
    reading = reader.read(root, recipe)
    assert reading is not None
    assert reading.layout == layout
    assert not [one for one in reader.findings(reading, recipe) if KINDS[one.kind].stops]
    assert sorted(reading.labels) == ["cat", "dog"]
    found = {Path(sample.name).stem: sample for sample in reading.samples}
    assert found.keys() == {item.stem for item in items}
    for item in items:
        sample = found[item.stem]
        assert sample.truth.image_hw == item.image_hw
        got = sorted(zip(map(list, sample.truth.boxes_xyxy.round(3).tolist()), sample.truth.class_ids, strict=True))
        want = sorted((list(map(float, edges)), label) for label, *edges in item.boxes)
        np.testing.assert_allclose([box for box, _ in got], [box for box, _ in want], atol=1e-3)
        assert [reading.labels[i] for _, i in got] == [label for _, label in want]
        assert reading.split_of.get(sample.name) == (item.split if has_splits else None)
