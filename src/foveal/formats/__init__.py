"""Output formats by name; one line an entry."""

from foveal.formats.base import Framed, Writer, WriterFactory
from foveal.formats.coco import CocoResults
from foveal.formats.csv import Csv
from foveal.formats.entry import Entry, entry_bytes, entry_object, to_json
from foveal.formats.jsonl import JsonLines
from foveal.formats.parquet import Parquet

FORMATS: dict[str, WriterFactory] = {
    "coco": CocoResults,
    "csv": Csv,
    "jsonl": JsonLines,
    "parquet": Parquet,
}

__all__ = ["FORMATS", "Entry", "Framed", "Writer", "entry_bytes", "entry_object", "to_json"]
