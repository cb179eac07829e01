"""Loading of packages (`load_each`): several at once, each in a thread of its own and under a time limit.

A graph may never end, in its loading or in its golden run. ONNX Runtime ends both when asked to; a thread that does not
end even so is left behind, and the others go on.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from foveal.errors import BadPackage
from foveal.inference.session import Interrupt

PATIENCE_S = 5.0  # a package that takes longer no longer keeps others from starting
END_S = 2.0  # from the interrupt to giving the thread up
TICK_S = 0.1
T = TypeVar("T")


@dataclass
class _Running:
    interrupt: Interrupt = field(default_factory=Interrupt)
    started: float = field(default_factory=time.monotonic)
    slow: bool = False

    @property
    def age(self) -> float:
        return time.monotonic() - self.started


class Loader(Generic[T]):
    """Loads packages by name@version, at most `width` at once, slow ones aside."""

    def __init__(self, load: Callable[[str, Interrupt], T], limit_s: float) -> None:
        """`load` raises what is wrong with a package, and ends with an error when the interrupt is set."""
        self._load = load
        self._limit_s = limit_s
        self._closed = threading.Event()

    def close(self) -> None:
        """End what is running, and start nothing more; from any thread."""
        self._closed.set()

    def load_each(self, refs: Sequence[str], width: int) -> Iterator[tuple[str, T | Exception | None]]:
        """Each package with what was loaded or its error, as they finish; None beforehand, once, for a slow one."""
        waiting, running = deque(refs), dict[str, _Running]()
        done: SimpleQueue[tuple[str, T | Exception]] = SimpleQueue()
        while (waiting or running) and not self._closed.is_set():
            while waiting and sum(not each.slow for each in running.values()) < width:
                self._start(waiting.popleft(), running, done)
            try:
                ref, outcome = done.get(timeout=TICK_S)
            except Empty:
                yield from self._look_at_time(running)
                continue
            if (ended := running.pop(ref, None)) is not None:
                yield ref, (self._too_slow(ref) if ended.interrupt.run_options.terminate else outcome)
        for each in running.values():
            each.interrupt.set()

    def _start(self, ref: str, running: dict[str, _Running], done: "SimpleQueue[tuple[str, T | Exception]]") -> None:
        running[ref] = entry = _Running()

        def work() -> None:
            try:
                done.put((ref, self._load(ref, entry.interrupt)))
            except Exception as error:  # whatever is wrong with one package
                done.put((ref, error))

        threading.Thread(target=work, name=f"foveal-load-{ref}", daemon=True).start()

    def _look_at_time(self, running: dict[str, _Running]) -> Iterator[tuple[str, T | Exception | None]]:
        for ref, entry in list(running.items()):
            if not entry.slow and entry.age > PATIENCE_S:
                entry.slow = True
                yield ref, None
            if entry.age > self._limit_s:
                entry.interrupt.set()
            if entry.age > self._limit_s + END_S:
                del running[ref]
                yield ref, self._too_slow(ref)

    def _too_slow(self, ref: str) -> BadPackage:
        return BadPackage(f"{ref}: expected it to be loaded and checked within {self._limit_s:g} s")
