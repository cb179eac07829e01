"""Parquet holds what the JSON lines hold, for every task and mask format."""

import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from foveal.errors import BadImage, FovealError
from foveal.formats import FORMATS, Entry, parquet
from foveal.options import Options
from foveal.packages.manifest import Manifest
from foveal.results import Result
from foveal.tasks.classification import Classification
from foveal.tasks.semantic_segmentation import SemanticMap
from tests.helpers.detectors import detector_manifest, pipeline, scene, two_stage_graph
from tests.helpers.packages import COLOURS, colour_manifest

INPUT_HW = (64, 64)
RECTANGLES = {"red": (5, 7, 30, 20), "blue": (40, 40, 50, 60)}


def _found(model: bytes) -> list[Result]:
    run = pipeline(model, input_hw=INPUT_HW)
    return [run(scene(INPUT_HW, RECTANGLES)), run(scene(INPUT_HW, {}))]


def case(task: str) -> tuple[Manifest, list[Result]]:
    if task == "classification":
        scores, ids = np.array([0.7, 0.2], np.float32), np.array([2, 0])
        return colour_manifest(), [Classification(scores, ids, COLOURS, (10, 12))]
    if task == "semantic-segmentation":
        ids = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
        return colour_manifest(task=task), [SemanticMap(ids, COLOURS, (2, 3))]
    model = two_stage_graph(INPUT_HW, np.ones((28, 28), np.float32) if task == "instance-segmentation" else None)
    return detector_manifest(model, input_hw=INPUT_HW), _found(model)


def without_nulls(value: Any) -> Any:
    """Arrow gives every member of every row; JSON leaves out what is not there."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


CASES = [("classification", None), ("object-detection", None)]
CASES += [("instance-segmentation", mask) for mask in (None, "rle", "polygon", "png", "none")]
CASES += [("semantic-segmentation", mask) for mask in (None, "png", "rle", "none")]


@pytest.mark.parametrize(("task", "mask_format"), CASES)
def test_a_row_is_the_json_entry(task: str, mask_format: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    manifest, results = case(task)
    assert manifest.task == task
    options = Options(mask_format=mask_format)
    entries = [Entry("a/ü.png", results[0], 6), Entry("no.png", BadImage("truncated"))]
    entries += [Entry(str(i), result) for i, result in enumerate(results)]
    writer = FORMATS["parquet"](manifest.pipeline, options)
    lines = io.BytesIO(writer.header() + b"".join(map(writer.write, entries)))
    out = io.BytesIO()
    writer.assemble(lines, out)
    read = pq.ParquetFile(out)
    assert read.metadata.num_row_groups == (len(entries) + 1) // 2
    jsonl = FORMATS["jsonl"](manifest.pipeline, options)
    assert without_nulls(read.read().to_pylist()) == [json.loads(jsonl.write(entry)) for entry in entries]


def test_no_image_is_an_empty_table_with_its_columns() -> None:
    writer, out = FORMATS["parquet"](colour_manifest().pipeline, Options()), io.BytesIO()
    writer.assemble(io.BytesIO(), out)
    table = pq.read_table(out)
    assert (table.num_rows, table.column_names) == (0, ["image", "classes", "error"])


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(FovealError, match=r"pip install 'foveal\[parquet\]'"):
        FORMATS["parquet"](colour_manifest().pipeline, Options())
