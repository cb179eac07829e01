"""Cancellation of work in threads: who no longer wants a result sets a `Cancellation`, long loops call `checkpoint`.

A thread cannot be ended from outside. So every loop whose length the caller's input decides (windows of a large image,
masks to draw) asks before each step whether its result is still wanted. Without a cancellation in force that costs
nothing and does nothing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Cancelled(Exception):
    """Nobody waits for the result any more. Ends the work; whoever cancelled it does not look."""


class Cancellation:
    """Whether the result of some work is still wanted; set once, from any thread."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """The result is not wanted any more."""
        self.is_set = True


class _Current(threading.local):
    of_all: tuple[Cancellation, ...] = ()


_current = _Current()


@contextmanager
def obeying(*cancellations: Cancellation) -> Iterator[None]:
    """Checkpoints in this thread end the work once all of these are set (a batch is wanted while one image is)."""
    before, _current.of_all = _current.of_all, cancellations
    try:
        yield
    finally:
        _current.of_all = before


def checkpoint() -> None:
    """To be called before each step of a long loop.

    Raises:
        Cancelled: the result is not wanted any more.
    """
    of_all = _current.of_all
    if of_all and all(each.is_set for each in of_all):
        raise Cancelled
