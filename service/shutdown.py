"""End of the process within its grace (`ending_within`), whatever its threads are doing at SIGTERM or SIGINT."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = logging.getLogger("foveal.service")


@contextmanager
def ending_within(grace_s: float, abandoned: Callable[[], list[Mapping[str, object]]]) -> Iterator[None]:
    """After one of SIGNALS the process has `grace_s` to end; then it is ended, and the log says what was running.

    A thread that does not return would keep the interpreter from ending: it waits for its threads. The server's own
    handlers, which begin the orderly end, are called as before.
    """
    before = {sign: handler for sign in SIGNALS if callable(handler := signal.getsignal(sign))}  # a server's
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set: in a test
        before = {}
    timer = threading.Timer(grace_s, _end, (grace_s, abandoned))
    timer.daemon = True

    def begin(sign: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # started by an earlier signal
            timer.start()
        before[signal.Signals(sign)](sign, frame)

    for sign in before:
        signal.signal(sign, begin)
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _end(grace_s: float, abandoned: Callable[[], list[Mapping[str, object]]]) -> None:
    for fields in abandoned():
        log.error("abandoned at the end of the grace", extra={"fields": fields})
    log.error("ended after %g s of grace", grace_s)
    for handler in logging.getLogger("foveal").handlers:
        handler.flush()
    os._exit(1)
