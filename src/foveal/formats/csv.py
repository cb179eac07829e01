"""CSV: flat rows for spreadsheets. An image that failed gives one row with its error."""

import csv
import io
from collections.abc import Iterable, Mapping

from foveal.errors import FovealError
from foveal.formats.entry import Entry
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec
from foveal.tasks import TASKS

Row = Mapping[str, object]


class Csv:
    """The columns are those of the task, behind the image's name and before `error`."""

    media_type = "text/csv; charset=utf-8"

    def __init__(self, spec: PipelineSpec, options: Options) -> None:
        self._columns = ["image", *TASKS[spec.task].columns, "error"]

    def header(self) -> bytes:
        """The header line."""
        return self._lines([dict(zip(self._columns, self._columns, strict=True))])

    def write(self, entry: Entry) -> bytes:
        """One line a class or object; none for an image without objects."""
        if isinstance(entry.outcome, FovealError):
            return self._lines([{"image": entry.name, "error": str(entry.outcome)}])
        return self._lines({"image": entry.name, **row} for row in entry.outcome.rows())

    def _lines(self, rows: Iterable[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode(errors="replace")
