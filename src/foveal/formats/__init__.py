"""Output formats by name; one line an entry."""

from foveal.formats.base import Writer, WriterFactory
from foveal.formats.coco import CocoResults
from foveal.formats.csv import Csv
from foveal.formats.entry import Entry, entry_bytes, entry_object, to_json
from foveal.formats.jsonl import JsonLines

FORMATS: dict[str, WriterFactory] = {
    "coco": CocoResults,
    "csv": Csv,
    "jsonl": JsonLines,
}

__all__ = ["FORMATS", "Entry", "Writer", "entry_bytes", "entry_object", "to_json"]
