"""Memory of everything in flight (`MemoryBudget`): request bodies, decoded pixels, model inputs, answers until written.

Each request holds one `Lease`. It takes what it is about to need before it allocates, and gives back what it no longer
holds. Estimates are upper bounds from sizes that are known before the work: Content-Length, an image's header.
"""

import asyncio
import os
import threading
from collections import deque
from enum import Enum

from foveal.errors import ImageTooLarge
from foveal.memory import memory_limit, resident_bytes
from foveal.service.errors import MemoryBusy

SAFETY = 0.8  # of the memory that the process may use: the rest is for what nobody counts, and for fragments
LEAST = 64_000_000  # a budget below this would serve nothing; whether the memory limit holds it is another matter
SMALL_BODY = 1_000_000  # bytes; larger bodies wait for each other, so that they cannot shut out the many small ones
PIXELS_A_BYTE = 100  # of a body: photos have 1 to 20, scanned line drawings up to 700
WAIT_S = 5.0  # how long a request waits for memory


class Kind(Enum):
    """What bytes are for; the value is the share of the budget that may be taken before others of the kind wait."""

    WORK = 1.0
    SMALL_BODIES = 0.67  # the rest is for work, which alone makes bodies go away
    LARGE_BODIES = 0.33


class MemoryBudget:
    """Bytes in flight, up to a limit. Any thread may `take`; all else belongs to the event loop."""

    def __init__(self, limit: int = 0, workers: int = 1) -> None:
        """`limit` in bytes; 0: derived from the memory of this process, one of `workers`."""
        self._workers = 0 if limit else workers
        self.limit = limit or derived(workers)
        self.in_use = 0
        self._bodies = 0  # of both kinds
        self._large = 0
        self._lock = threading.Lock()
        self._waiting: dict[Kind, deque[tuple[int, asyncio.Future[None]]]] = {kind: deque() for kind in Kind}

    def measure(self) -> None:
        """Derive the limit again, from what the process takes now that its models are loaded; a given one stays."""
        if self._workers:
            self.limit = derived(self._workers)

    def lease(self) -> "Lease":
        """For one request; to be released."""
        return Lease(self)

    def most(self, kind: Kind) -> int:
        """Bytes of a kind that can be in flight at all."""
        return int(kind.value * self.limit)

    def take(self, count: int, kind: Kind, *, passing: bool = False) -> bool:
        """Take bytes if they are free, and nobody waits for such bytes (`passing`: whoever does)."""
        if self._waiting[kind] and not passing:
            return False
        with self._lock:
            if not self._fits(count, kind):
                return False
            self._add(count, kind)
        return True

    async def wait(self, count: int, kind: Kind) -> None:
        """Take bytes, in the order of asking.

        Raises:
            MemoryBusy: they were not free in time.
        """
        if self.take(count, kind):
            return
        self._loop = asyncio.get_running_loop()
        entry = (count, self._loop.create_future())
        self._waiting[kind].append(entry)
        try:
            async with asyncio.timeout(WAIT_S):
                await entry[1]
        except BaseException as error:
            if entry in self._waiting[kind]:
                self._waiting[kind].remove(entry)
                self._wake()  # who stands behind may need less
            elif not entry[1].cancelled():  # it was given what nobody takes any more
                self.give(count, kind)
            if isinstance(error, TimeoutError):
                raise MemoryBusy(f"expected {count} bytes of memory within {WAIT_S:g} s", WAIT_S) from None
            raise

    def give(self, count: int, kind: Kind) -> None:
        """Give bytes back, or (negative) count what is there already; from any thread."""
        with self._lock:
            self._add(-count, kind)
        if any(self._waiting.values()):
            self._loop.call_soon_threadsafe(self._wake)

    def _fits(self, count: int, kind: Kind) -> bool:
        if kind is Kind.LARGE_BODIES and self._large + count > self.most(kind):
            return False
        if kind is not Kind.WORK and self._bodies + count > self.most(Kind.SMALL_BODIES):
            return False
        return self.in_use + count <= self.limit

    def _add(self, count: int, kind: Kind) -> None:
        self.in_use += count
        self._bodies += count if kind is not Kind.WORK else 0
        self._large += count if kind is Kind.LARGE_BODIES else 0

    def _wake(self) -> None:
        """Serve those who wait: work first, because it ends, and lets go of a body too."""
        for kind, waiting in self._waiting.items():
            while waiting:
                count, future = waiting[0]
                if not future.done():
                    if not self.take(count, kind, passing=True):
                        break
                    future.set_result(None)
                waiting.popleft()


class Lease:
    """What one request holds of the budget: its body, and its answers until they are written."""

    copies = 1  # of the body that its container needs in memory

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self._body = 0
        self._pixels, self._pixels_lock = 0, threading.Lock()
        self._held: list[tuple[int, Kind]] = []

    async def body(self, count: int) -> bool:
        """So many bytes of the body are about to be in memory. False: more than a body can ever get.

        Raises:
            MemoryBusy: they were not free in time.
        """
        more = self.copies * count - self._body
        if more <= 0:
            return True
        kind = Kind.SMALL_BODIES if count <= SMALL_BODY else Kind.LARGE_BODIES
        if self._body + more > self.budget.most(kind):
            return False
        await self.budget.wait(more, kind)
        self._body += more
        self._held.append((more, kind))
        return True

    def take_pixels(self, count: int, free: int) -> None:
        """Count pixels to decode, from any thread; `free`: those that any request may have.

        Raises:
            ImageTooLarge: more than the body's bytes pay for.
        """
        most = free + PIXELS_A_BYTE * self._body // self.copies
        with self._pixels_lock:
            self._pixels += count
            if self._pixels > most:
                raise ImageTooLarge(
                    f"expected at most {most} pixels in all images of a request of this size, got more: "
                    "send the rest in another"
                )

    def answer(self, count: int) -> None:
        """So many bytes of an answer are in memory; from the event loop's thread."""
        self.budget.give(-count, Kind.WORK)
        self._held.append((count, Kind.WORK))

    def release(self) -> None:
        """Give everything back."""
        for count, kind in self._held:
            self.budget.give(count, kind)
        self._held = []

    @property
    def largest_work(self) -> int:
        """Bytes of work that this request can get at all, beside what it holds."""
        return self.budget.limit - sum(count for count, _ in self._held)


def derived(workers: int) -> int:
    """Bytes that requests of one worker may take: its share of the memory, less what it takes without any request."""
    own = resident_bytes()
    parent = resident_bytes(os.getppid())
    return max(LEAST, int((SAFETY * memory_limit() - parent) / workers) - own)
