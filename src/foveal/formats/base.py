"""Protocols of output formats (`Writer`, `Framed`)."""

from typing import BinaryIO, Protocol, runtime_checkable

from foveal.formats.entry import Entry
from foveal.options import Options
from foveal.packages.manifest import PipelineSpec


class Writer(Protocol):
    """Turns entries into bytes: `FORMATS[name](spec, options)`, with resolved options.

    The bytes of an entry depend on that entry alone. So a fresh writer may go on where another one stopped, and several
    machines may write parts of one output.
    """

    media_type: str

    def header(self) -> bytes:
        """What stands before the first entry."""
        ...

    def write(self, entry: Entry) -> bytes:
        """One entry."""
        ...


@runtime_checkable
class Framed(Writer, Protocol):
    """A format whose entries depend on each other: `write` gives lines, and the file is made of them at the end."""

    def assemble(self, lines: BinaryIO, out: BinaryIO) -> None:
        """All lines, in order -> the file; in bounded memory."""
        ...


class WriterFactory(Protocol):
    """A format: makes a writer for one output."""

    @property
    def unused_options(self) -> tuple[str, ...]:
        """Options of a prediction that change nothing in this format."""
        ...

    def __call__(self, spec: PipelineSpec, options: Options) -> Writer:
        """A fresh writer."""
        ...
