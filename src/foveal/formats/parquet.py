"""Parquet: a row an image, the same members as the JSON entry (docs/HTTP.md), typed; for DuckDB, Spark, pandas, Polars.

A Parquet file ends in an index of itself, so it cannot be continued after a kill: entries are kept as JSON lines while
the job runs, and the file is made of them at the end. Needs the extra `parquet` (pyarrow).
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

from foveal.formats.entry import Entry
from foveal.formats.jsonl import JsonLines
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec
from foveal.tasks import TASKS
from foveal.tasks.arrow import pyarrow, struct

GROUP_ROWS, GROUP_BYTES = 4096, 32_000_000  # a row group ends at whichever comes first; this bounds the memory


class Parquet:
    """JSON lines on the way, one typed table at the end."""

    media_type = "application/vnd.apache.parquet"
    unused_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: PipelineSpec, options: Options) -> None:
        self._lines = JsonLines(spec, options)
        self._schema = schema(spec, options)

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, entry: Entry) -> bytes:
        """A line of JSON."""
        return self._lines.write(entry)

    def assemble(self, lines: BinaryIO, out: BinaryIO) -> None:
        """Row group by row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetWriter(out, self._schema, compression="zstd") as writer:
            for group in _groups(lines):
                rows = [json.loads(line) for line in group]
                writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))


def schema(spec: PipelineSpec, options: Options) -> Any:
    """The pyarrow.Schema of a model's entries; numbers have the digits that JSON has.

    Raises:
        FovealError: pyarrow is not installed.
    """
    pa = pyarrow()
    size = {"width": pa.int32(), "height": pa.int32()}
    fields = {
        "image": struct(name=pa.string(), **size, exif_orientation=pa.int8()),
        **TASKS[spec.task].arrow_members(spec.labels, options.mask_format),
        "error": struct(status=pa.int16(), title=pa.string(), detail=pa.string()),
    }
    return pa.schema(list(fields.items()))


def _groups(lines: BinaryIO) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line)
        if len(group) == GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
