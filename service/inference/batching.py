"""Who runs when: a bound on the work taken in, and a batcher that takes what waits whenever the session is free."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from foveal.options import Options
from foveal.service.errors import Busy
from foveal.tasks import Prepared
from foveal.tasks.base import Outputs

Infer = Callable[[Sequence[Prepared], Sequence[Options]], list[Outputs]]
Key = Callable[[Options], object]


class Gate:
    """Lets work in up to a bound; beyond it says when to come back. Used on the event loop only."""

    def __init__(self, limit: int, what: str) -> None:
        self.inside = 0
        self._limit = limit
        self._what = what
        self._seconds_each = 0.05  # running mean between two completions under load; the start is a guess
        self._since = 0.0

    def check(self, count: int = 1) -> None:
        """See whether `count` places are free.

        Raises:
            Busy: they are not; Retry-After is how long the work inside takes at the pace measured lately. A request is
                never larger than an empty gate.
        """
        if self.inside and self.inside + count > self._limit:
            detail = f"{self.inside} {self._what} in work, at most {self._limit} are taken in"
            raise Busy(detail, self.inside * self._seconds_each)

    @contextmanager
    def admit(self, count: int = 1) -> Iterator[None]:
        """Hold `count` places. Raises as `check`."""
        self.check(count)
        if not self.inside:
            self._since = time.monotonic()
        self.inside += count
        try:
            yield
        finally:
            self.inside -= count
            now = time.monotonic()
            self._seconds_each += 0.1 * ((now - self._since) / count - self._seconds_each)
            self._since = now


@dataclass(frozen=True)
class Ran:
    """What one image got out of a graph run."""

    outputs: Outputs
    queued_at: float  # perf_counter(), as the next two
    started_at: float
    finished_at: float
    batch_size: int


@dataclass
class _Item:
    prepared: Prepared
    options: Options
    key: object
    future: asyncio.Future[Ran]
    queued_at: float = field(default_factory=time.perf_counter)


class Batcher:
    """One model's queue. It lives on the event loop; the graph runs in the batcher's only thread.

    Nobody waits for a batch to fill: when the session turns free, it takes what waits, up to `batch_size` images
    whose options may share a run. A caller that gives up (deadline) cancels its future; what is cancelled before its
    turn is never computed. While nobody waits, whoever prepared an image may run the graph himself (`run_at_once`).
    """

    def __init__(self, infer: Infer, key: Key, batch_size: int) -> None:
        self._infer = infer
        self._key = key
        self._batch_size = batch_size
        self._waiting: deque[_Item] = deque()
        self._session_free = threading.Lock()  # held while the graph runs, by whichever thread
        self._thread = ThreadPoolExecutor(1, "foveal-infer")

    async def run(self, prepared: Prepared, options: Options) -> Ran:
        """Wait for a turn, run the graph."""
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Ran] = self._loop.create_future()
        self._waiting.append(_Item(prepared, options, self._key(options), future))
        self._next()
        return await future

    def run_at_once(self, prepared: Prepared, options: Options) -> Ran | None:
        """Run the graph in the calling thread, which is not the event loop's; None if it is not free.

        Spares a lonely request two changes of thread, most of what the service costs it.
        """
        if self._waiting or not self._session_free.acquire(blocking=False):
            return None
        started = time.perf_counter()
        try:
            (outputs,) = self._infer([prepared], [options])
        finally:
            self._session_free.release()
            if self._waiting:  # came meanwhile; what comes after the release finds the session free
                self._loop.call_soon_threadsafe(self._next)
        return Ran(outputs, started, started, time.perf_counter(), 1)

    def _next(self) -> None:
        if not self._waiting or not self._session_free.acquire(blocking=False):
            return
        batch = self._take()
        if not batch:
            self._session_free.release()
            return
        started = time.perf_counter()
        work = self._loop.run_in_executor(
            self._thread, self._infer, [item.prepared for item in batch], [item.options for item in batch]
        )
        work.add_done_callback(lambda done: self._finished(batch, started, done))

    def _take(self) -> list[_Item]:
        """The oldest live item and others that may share its run; the rest keep their order."""
        batch: list[_Item] = []
        passed: list[_Item] = []
        while self._waiting and len(batch) < self._batch_size:
            item = self._waiting.popleft()
            if item.future.done():
                continue
            (batch if not batch or item.key == batch[0].key else passed).append(item)
        self._waiting.extendleft(reversed(passed))
        return batch

    def _finished(self, batch: list[_Item], started: float, done: "asyncio.Future[list[Outputs]]") -> None:
        self._session_free.release()
        finished = time.perf_counter()
        error = done.exception()
        if error is None:
            for item, outputs in zip(batch, done.result(), strict=True):
                if not item.future.done():
                    item.future.set_result(Ran(outputs, item.queued_at, started, finished, len(batch)))
        elif len(batch) > 1:  # find the culprit: each of them once more, alone
            self._waiting.extendleft(_alone(item) for item in reversed(batch))
        elif not batch[0].future.done():
            batch[0].future.set_exception(error)
        self._next()


def _alone(item: _Item) -> _Item:
    """The same item under a key that no other has."""
    return replace(item, key=object())
