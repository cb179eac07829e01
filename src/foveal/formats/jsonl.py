"""JSON lines: one compact object an image, errors in place."""

from typing import ClassVar

from foveal.formats.entry import Entry, entry_bytes
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec


class JsonLines:
    """Each line is exactly the object that HTTP puts under `results`."""

    media_type = "application/jsonl"
    unused_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: PipelineSpec, options: Options) -> None:
        self._task = spec.task
        self._options = options

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, entry: Entry) -> bytes:
        """One line."""
        return entry_bytes(entry, self._task, self._options) + b"\n"
