"""Admission control (`Gate`) and dynamic batching (`Batcher`)."""

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
from foveal.service.inference.threads import Work, WorkThreads
from foveal.tasks import Prepared
from foveal.tasks.base import Outputs, joined_rows

Infer = Callable[[Sequence[Prepared], Sequence[Options]], list[Outputs]]
BatchKey = Callable[[Options], object]


class Gate:
    """Admission up to a fixed number of places; beyond it an error with a Retry-After. For the event loop's thread."""

    def __init__(self, limit: int, what: str) -> None:
        self.in_flight = 0
        self._limit = limit
        self._what = what
        self._seconds_each = 0.05  # running mean between two completions under load; the start is a guess
        self._last_completion = 0.0

    def check(self, count: int = 1) -> None:
        """Check that `count` places are free. An empty gate admits any count.

        Raises:
            Busy: they are not; Retry-After is the time that the admitted work takes at the recently measured rate.
        """
        if self.in_flight and self.in_flight + count > self._limit:
            detail = f"{self.in_flight} {self._what} in work, at most {self._limit} are taken in"
            raise Busy(detail, self.in_flight * self._seconds_each)

    @contextmanager
    def admit(self, count: int = 1) -> Iterator[None]:
        """Hold `count` places while the context is open. Raises as `check`."""
        self.check(count)
        if not self.in_flight:
            self._last_completion = time.monotonic()
        self.in_flight += count
        try:
            yield
        finally:
            self.in_flight -= count
            now = time.monotonic()
            self._seconds_each += 0.1 * ((now - self._last_completion) / count - self._seconds_each)
            self._last_completion = now


@dataclass(frozen=True)
class GraphRun:
    """One image's outputs of a graph run, with the run's times and batch size."""

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
    future: asyncio.Future[GraphRun]
    work: Work
    queued_at: float = field(default_factory=time.perf_counter)


class Batcher:
    """Queue of one model. Its state belongs to the event loop; graph runs use the batcher's single thread.

    A batch is never delayed to fill up: when the session becomes free, it takes up to `batch_size` waiting images whose
    options have the same batch key. An image whose future is cancelled before its turn (deadline, disconnect) is not
    computed. While the queue is empty, a worker thread may run the graph itself (`run_at_once`).
    """

    def __init__(self, infer: Infer, key: BatchKey, batch_size: int, threads: WorkThreads) -> None:
        """`threads` keep the record of what runs."""
        self._threads = threads
        self._infer = infer
        self._key = key
        self._batch_size = batch_size
        self._waiting: deque[_Item] = deque()
        self._session_free = threading.Lock()  # held while the graph runs, in whichever thread
        self._thread = ThreadPoolExecutor(1, "foveal-infer")

    async def run(self, prepared: Prepared, options: Options, work: Work) -> GraphRun:
        """Queue one image and wait for its graph run; whoever is cancelled while waiting cancels the work.

        An image in parts is queued part by part, a batch at a time: others have their turns in between.
        """
        if not prepared.parts:
            return await self._queue(prepared, options, work)
        runs: list[GraphRun] = []
        for start in range(0, len(prepared.parts), self._batch_size):
            chunk = prepared.parts[start : start + self._batch_size]
            runs += await asyncio.gather(*(self._queue(part.prepared, options, work) for part in chunk))
        outputs = joined_rows([run.outputs for run in runs])
        return replace(runs[-1], outputs=outputs, queued_at=runs[0].queued_at, started_at=runs[0].started_at)

    async def _queue(self, prepared: Prepared, options: Options, work: Work) -> GraphRun:
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[GraphRun] = self._loop.create_future()
        self._waiting.append(_Item(prepared, options, self._key(options), future, work))
        self._next()
        try:
            return await future
        except asyncio.CancelledError:
            work.cancellation.set()
            raise

    def run_at_once(self, prepared: Prepared, options: Options) -> GraphRun | None:
        """Run the graph in the calling thread (not the event loop's); None if the session is in use.

        Saves a request on an idle model two thread switches, most of what the service adds to its latency.
        """
        if self._waiting or not self._session_free.acquire(blocking=False):
            return None
        started = time.perf_counter()
        try:
            (outputs,) = self._infer([prepared], [options])
        finally:
            self._session_free.release()
            if self._waiting:  # queued meanwhile; what is queued after the release finds the session free
                self._loop.call_soon_threadsafe(self._next)
        return GraphRun(outputs, started, started, time.perf_counter(), 1)

    def _next(self) -> None:
        if not self._waiting or not self._session_free.acquire(blocking=False):
            return
        batch = self._take()
        if not batch:
            self._session_free.release()
            return
        started = time.perf_counter()
        works = [item.work for item in batch]
        prepared, options = [item.prepared for item in batch], [item.options for item in batch]
        run = self._loop.run_in_executor(self._thread, self._threads.watched, works, self._infer, prepared, options)
        run.add_done_callback(lambda done: self._finished(batch, started, done))

    def _take(self) -> list[_Item]:
        """The oldest item that was not cancelled, and others with its batch key; the rest keep their order."""
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
                    item.future.set_result(GraphRun(outputs, item.queued_at, started, finished, len(batch)))
        elif len(batch) > 1:  # run each image again, alone, so that only the failing one gets the error
            self._waiting.extendleft(_alone(item) for item in reversed(batch))
        elif not batch[0].future.done():
            batch[0].future.set_exception(error)
        self._next()


def _alone(item: _Item) -> _Item:
    """The same item under a batch key that no other has."""
    return replace(item, key=object())
