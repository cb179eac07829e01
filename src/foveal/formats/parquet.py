"""Parquet: a row an image, the same members as the JSON entry (docs/API.md), typed; for DuckDB, Spark, pandas, Polars.

A Parquet file ends in an index of itself, so it cannot be continued after a kill: entries are kept as JSON lines while
the job runs, and the file is made of them at the end. Needs the extra `parquet` (pyarrow).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from foveal.errors import FovealError
from foveal.formats.entry import Entry
from foveal.formats.jsonl import JsonLines
from foveal.options import Options
from foveal.packages.manifest import Manifest

GROUP_ROWS, GROUP_BYTES = 4096, 32_000_000  # a row group ends at whichever comes first; this bounds the memory


class Parquet:
    """JSON lines on the way, one typed table at the end."""

    media_type = "application/vnd.apache.parquet"

    def __init__(self, manifest: Manifest, options: Options) -> None:
        self._lines = JsonLines(manifest, options)
        self._schema = schema(manifest, options)

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


def schema(manifest: Manifest, options: Options) -> Any:
    """The pyarrow.Schema of a model's entries; numbers have the digits that JSON has.

    Raises:
        FovealError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise FovealError("format 'parquet' needs 'pyarrow': pip install 'foveal[parquet]'") from None
    size = {"width": pa.int32(), "height": pa.int32()}
    fields = {
        "image": _struct({"name": pa.string(), **size, "exif_orientation": pa.int8()}),
        **_members(manifest.labels, options.mask_format)[manifest.task],
        "error": _struct({"status": pa.int16(), "title": pa.string(), "detail": pa.string()}),
    }
    return pa.schema(list(fields.items()))


def _members(labels: Sequence[str], mask_format: str | None) -> dict[str, dict[str, Any]]:
    """task -> what its entries have beside `image`."""
    import pyarrow as pa

    scored = {"label": pa.string(), "class_id": pa.int32(), "score": pa.float64()}
    boxed = {**scored, "box": pa.list_(pa.float64())}
    runs = {"size": pa.list_(pa.int32()), "counts": pa.string()}
    png = {"base64": pa.string()}
    rings = {"polygons": pa.list_(pa.list_(pa.list_(pa.int32())))}
    of_object = _mask({"rle": runs, "polygon": rings, "png": png}, mask_format or "rle")
    row = _struct({"label": pa.string(), "class_id": pa.int32(), **runs})
    of_image = _mask({"png": png, "rle": {"classes": pa.list_(row)}}, mask_format or "png")
    coverage = _struct(dict.fromkeys(labels, pa.float64()))
    segmentation = {"labels": pa.list_(pa.string()), **of_image, "coverage": coverage}
    return {
        "classification": {"classes": pa.list_(_struct(scored))},
        "instance-segmentation": {"detections": pa.list_(_struct({**boxed, "area_px": pa.int64(), **of_object}))},
        "object-detection": {"detections": pa.list_(_struct(boxed))},
        "semantic-segmentation": {"segmentation": _struct(segmentation)},
    }


def _mask(formats: dict[str, dict[str, Any]], chosen: str) -> dict[str, Any]:
    """The member `mask`; none for "none" and for a format that rendering refuses."""
    import pyarrow as pa

    return {"mask": _struct({"format": pa.string(), **formats[chosen]})} if chosen in formats else {}


def _struct(fields: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.struct(list(fields.items()))


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
