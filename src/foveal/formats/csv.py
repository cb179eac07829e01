"""CSV: flat rows for spreadsheets. An image that failed gives one row with its error.

A spreadsheet takes a cell that begins with = + - @ for a formula and runs it, also behind blanks, even
one that came from a file's name. Such text gets an apostrophe in front, which spreadsheets hide; numbers never do.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from foveal.errors import FovealError
from foveal.formats.entry import Entry
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec
from foveal.tasks import TASKS

Row = Mapping[str, object]
FORMULA = re.compile(
    "[\\s\ufeff\u200b]*[=+\\-@＝＋－＠]|[\t\r\n]"
)  # the wide ones are read as the narrow ones in Japan


class Csv:
    """The columns are those of the task, behind the image's name and before `error`."""

    media_type = "text/csv; charset=utf-8"
    unused_options: ClassVar[tuple[str, ...]] = ("mask_format",)

    def __init__(self, spec: PipelineSpec, options: Options) -> None:
        self._columns = ["image", *TASKS[spec.task].columns, "error"]

    def header(self) -> bytes:
        """The header line."""
        return self._lines([dict(zip(self._columns, self._columns, strict=True))])

    def write(self, entry: Entry) -> bytes:
        """One line a class or object; none for an image without objects."""
        if isinstance(entry.outcome, FovealError):
            return self._lines([{"image": entry.text_name, "error": str(entry.outcome)}])
        return self._lines({"image": entry.text_name, **row} for row in entry.outcome.rows())

    def _lines(self, rows: Iterable[Row]) -> bytes:
        return "".join(map(self._line, rows)).encode(errors="replace")

    def _line(self, row: Row) -> str:
        text = io.StringIO(newline="")
        # the writer quotes what holds a part of its line end: a name may hold either
        csv.DictWriter(text, self._columns, restval="", lineterminator="\r\n").writerow(_safe(row))
        return text.getvalue().removesuffix("\r\n") + "\n"


def _safe(row: Row) -> Row:
    return {name: f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell for name, cell in row.items()}
