"""Threads of the service (`WorkThreads`) and what runs in them (`Work`): named, cancellable, and watched.

A thread cannot be ended from outside. A deadline that passes, or a client that leaves, cancels the work, which ends at
its next checkpoint. Work that reaches none (a decoder that does not return) occupies its thread: `stuck` names it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from foveal.cancellation import Cancellation, checkpoint, obeying
from foveal.errors import ImageTooLarge
from foveal.service.inference.memory import Kind, Lease

T = TypeVar("T")


@dataclass(eq=False)
class Work:
    """One image of a request: where it is, and whether its result is still wanted."""

    request: str  # its id
    lease: Lease  # memory of the request
    stage: str = "decode"
    cancellation: Cancellation = field(default_factory=Cancellation)
    several: bool = False  # the request has more images, and this one's pixels were not counted yet
    large: bool = False  # runs in the threads for large work
    in_thread: bool = False
    reserved: int = 0  # bytes of memory that it may take
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, stage: str) -> None:
        """Begin a stage.

        Raises:
            Cancelled: the result is not wanted any more.
        """
        checkpoint()
        self.stage = stage

    def resize(self, count: int) -> bool:
        """Hold so many bytes of memory, if what is missing is free; without waiting, from any thread."""
        more = count - self.reserved
        if more > 0 and not self.lease.budget.take(more, Kind.WORK):
            return False
        if more < 0:
            self.lease.budget.give(-more, Kind.WORK)
        self.reserved = count
        return True

    async def wait_for(self, count: int) -> None:
        """Hold so many bytes of memory.

        Raises:
            ImageTooLarge: it can never get them. MemoryBusy: they were not free in time.
        """
        most = self.lease.largest_work
        if count > most:
            raise ImageTooLarge(f"expected an image that needs at most {most} bytes of memory, got one of {count}")
        if not self.resize(count):
            await self.lease.budget.wait(count - self.reserved, Kind.WORK)
            self.reserved = count

    def take_pixels(self, count: int, free: int) -> None:
        """Count pixels to decode for one image of several in a request; `free`: those that any request may have.

        Raises:
            ImageTooLarge: more than the bytes of the request pay for.
        """
        if self.several:
            self.several = False  # counted once
            self.lease.take_pixels(count, free)

    def end(self) -> None:
        """Give the memory back: now, or once the thread is done that is still at work."""
        self.cancellation.set()
        if not self.in_thread:
            self._give()

    def left_thread(self) -> None:
        """A thread is done with it, the work or only a part of it."""
        self.in_thread = False
        if self.cancellation.is_set:
            self._give()

    def _give(self) -> None:
        with self._lock:
            count, self.reserved = self.reserved, 0
        if count:
            self.lease.budget.give(count, Kind.WORK)


@dataclass(eq=False)
class _Running:
    works: Sequence[Work]
    started: float = field(default_factory=time.monotonic)
    reported: bool = False


@dataclass(frozen=True)
class Stuck:
    """Work that occupies a thread long after nobody waits for it."""

    requests: tuple[str, ...]
    stage: str
    seconds: float
    new: bool  # not reported before

    def fields(self) -> dict[str, object]:
        """Members of a log line."""
        return {"ids": list(self.requests), "stage": self.stage, "seconds": round(self.seconds, 3)}


class WorkThreads:
    """The image threads, and the record of what they and the models' own threads are doing.

    Large work (LARGE_BYTES in served_model.py, or windows) has threads of its own: small images never wait for it, they
    share the cores with it.
    """

    def __init__(self, count: int, stuck_after_s: float) -> None:
        """`stuck_after_s`: longer than any wanted work can take in one thread, which is the deadline of a request."""
        self._pool = ThreadPoolExecutor(count, "foveal-image")
        self._large_pool = ThreadPoolExecutor(count, "foveal-large")
        self._stuck_after_s = stuck_after_s
        self._running: dict[int, _Running] = {}  # by thread

    async def run(self, work: Work, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in an image thread; whoever is cancelled while waiting cancels the work."""
        try:
            pool = self._large_pool if work.large else self._pool
            return await asyncio.get_running_loop().run_in_executor(pool, self.watched, (work,), function, *arguments)
        except asyncio.CancelledError:
            work.cancellation.set()
            raise

    def watched(self, works: Sequence[Work], function: Callable[..., T], *arguments: object) -> T:
        """Call a function in this thread, on record and obeying the cancellation of these works."""
        thread = threading.get_ident()
        self._running[thread] = _Running(works)
        for work in works:
            work.in_thread = True
        try:
            with obeying(*(work.cancellation for work in works)):
                return function(*arguments)
        finally:
            del self._running[thread]
            for work in works:
                work.left_thread()

    def running(self) -> list[Stuck]:
        """Everything that runs now, the longest first."""
        now = time.monotonic()
        found = [_described(running, now) for running in list(self._running.values())]
        return sorted(found, key=lambda each: -each.seconds)

    def stuck(self) -> list[Stuck]:
        """What has been running for longer than any request waits; each is new once."""
        now = time.monotonic()
        late = [each for each in list(self._running.values()) if now - each.started > self._stuck_after_s]
        found = [_described(each, now) for each in late]
        for each in late:
            each.reported = True
        return found

    def close(self) -> None:
        """Cancel everything; does not wait."""
        for running in list(self._running.values()):
            for work in running.works:
                work.cancellation.set()
        for pool in (self._pool, self._large_pool):
            pool.shutdown(wait=False, cancel_futures=True)


def _described(running: _Running, now: float) -> Stuck:
    requests = tuple(work.request for work in running.works)
    return Stuck(requests, running.works[0].stage, now - running.started, not running.reported)
