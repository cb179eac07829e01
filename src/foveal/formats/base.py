"""What an output format must be able to do."""

from typing import Protocol

from foveal.formats.entry import Entry
from foveal.manifest import Manifest
from foveal.options import Options


class Writer(Protocol):
    """Turns entries into bytes, in order. Made anew for each output: `FORMATS[name](manifest, options)`."""

    media_type: str

    def open(self) -> bytes:
        """What stands before the first entry."""
        ...

    def write(self, entry: Entry) -> bytes:
        """One entry."""
        ...

    def close(self) -> bytes:
        """What stands after the last entry."""
        ...


class WriterFactory(Protocol):
    """A format: makes a writer for one output. `options` are resolved ones."""

    resumable: bool  # may a fresh writer go on where another one stopped between two entries?

    def __call__(self, manifest: Manifest, options: Options) -> Writer:
        """A fresh writer."""
        ...
