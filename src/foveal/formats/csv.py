"""CSV: flat rows for spreadsheets. An image that failed gives one row with its error."""

import csv
import io
from collections.abc import Iterable, Mapping

from foveal.formats.entry import Entry, entry_object
from foveal.options import Options
from foveal.packages.manifest import Manifest
from foveal.tasks import TASKS

Row = Mapping[str, object]


class Csv:
    """The columns are those of the task's `rows`, behind the image's name and before `error`."""

    media_type = "text/csv; charset=utf-8"

    def __init__(self, manifest: Manifest, options: Options) -> None:
        self._task = TASKS[manifest.task]
        self._options = options
        self._columns = ["image", *self._task.csv_columns, "error"]

    def header(self) -> bytes:
        """The header line."""
        return self._lines([dict(zip(self._columns, self._columns, strict=True))])

    def write(self, entry: Entry) -> bytes:
        """One line a class or object; none for an image without objects."""
        rendered = entry_object(entry, self._task, self._options)
        if "error" in rendered:
            return self._lines([{"image": entry.name, "error": rendered["error"]["detail"]}])
        return self._lines({"image": entry.name, **row} for row in self._task.csv_rows(rendered))

    def _lines(self, rows: Iterable[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode(errors="replace")
