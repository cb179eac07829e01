"""Progress of long work (`Meter`, `track`): a bar on a terminal, a line now and then elsewhere; all on stderr."""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
LINE_EVERY_S = 30.0  # where stderr is a file or a pipe; short work says nothing there


class Meter:
    """How much of some work is done, how fast it goes and how long it will take; a context manager.

    Args:
        what: the work, as a person calls it.
        total: items in it.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._started = self._line_at = time.monotonic()
        self._bar: Any = None  # rich's, on a terminal

    def __enter__(self) -> Self:
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = _bar(console)
            self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, items: int = 1) -> None:
        """So many more are done."""
        self._done += items
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], items)
        elif (now := time.monotonic()) - self._line_at >= LINE_EVERY_S:
            self._line_at = now
            _print_line(progress_line(self._what, self._done, self._total, now - self._started))


def track(items: Iterable[T], *, total: int, what: str, size: Callable[[T], int] | None = None) -> Iterator[T]:
    """Yield the items and show how many are done, items/s and the time left; an item counts as `size` of it."""
    with Meter(what, total) as meter:
        for item in items:
            yield item
            meter.advance(size(item) if size else 1)


def progress_line(what: str, done: int, total: int, seconds: float) -> str:
    """`evaluate: 120 of 400, 4.0/s, 1 min 10 s left`, after so many seconds."""
    rate = done / seconds if seconds > 0 else 0.0
    left = f", {duration((total - done) / rate)} left" if rate and done < total else ""
    return f"{what}: {done} of {total}, {rate:.1f}/s{left}"


def duration(seconds: float) -> str:
    """A time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _print_line(line: str) -> None:
    import typer

    typer.echo(line, err=True)


def _bar(console: Any) -> Any:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
