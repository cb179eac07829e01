"""Open connections (`ConnectionTable`): their greatest number, and since when each waits for its client."""

import asyncio
import contextlib
import ctypes
import resource
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from foveal.service.errors import RequestError
from foveal.service.settings import Settings

SPARE_DESCRIPTORS = 256  # for packages, logs, pipes, and connections that are just being accepted or closed
SWEEP_S = 0.5  # interval between two looks at every connection


class Peer(Protocol):
    """What the table needs of a connection."""

    def close(self) -> None:
        """Close in order; nothing is unsent."""

    def check_written(self, now: float) -> None:
        """Close if the client does not read its answer."""

    def turn_away(self) -> None:
        """Answer that there are too many connections, and close."""


@dataclass(frozen=True)
class Limits:
    """Limits of one process's connections: seconds as in `Settings`, and their number."""

    head_s: float
    keep_alive_s: float
    write_s: float
    connections: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits of this process, whose soft limit on descriptors is raised if that is needed and allowed."""
        number = settings.max_connections
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < number + SPARE_DESCRIPTORS:
            soft = (
                number + SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(number + SPARE_DESCRIPTORS, hard)
            )
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            number = max(1, min(number, soft - SPARE_DESCRIPTORS))
        return cls(settings.head_s, settings.keep_alive_s, settings.write_s, number)


class ConnectionTable:
    """The connections of one process. For the event loop's thread."""

    def __init__(self, limits: Limits, on_refusal: Callable[[RequestError], None]) -> None:
        """`on_refusal` is called with each error that is answered without the application."""
        self.limits = limits
        self.on_refusal = on_refusal
        self.unread = False  # an answer was dropped unread since the last look
        self.draining = False  # every answer is the last of its connection
        self._open: set[Peer] = set()
        self._waiting: OrderedDict[Peer, float] = OrderedDict()  # -> deadline; the longest waiting first

    def opened(self, peer: Peer) -> None:
        """A new connection; at the limit, it takes the place of the one that has waited longest for its client."""
        self._open.add(peer)
        if len(self._open) > self.limits.connections:
            if self._waiting:
                self._waiting.popitem(last=False)[0].close()
            else:
                peer.turn_away()
                return
        self.wait(peer, self.limits.head_s)

    def wait(self, peer: Peer, seconds: float) -> None:
        """From now on the client owes something; after `seconds` the connection is closed."""
        self._waiting[peer] = asyncio.get_running_loop().time() + seconds
        self._waiting.move_to_end(peer)

    def work(self, peer: Peer) -> None:
        """From now on the service owes an answer."""
        self._waiting.pop(peer, None)

    def closed(self, peer: Peer) -> None:
        """The connection is no more."""
        self._open.discard(peer)
        self._waiting.pop(peer, None)

    @contextlib.asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        """Enforce the limits on time while the context is open."""
        task = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            task.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for peer in [peer for peer, deadline in self._waiting.items() if deadline < now]:
                peer.close()
            for peer in list(self._open):
                peer.check_written(now)
            if self.unread:
                self.unread = False
                await asyncio.sleep(SWEEP_S)  # until the connections have let go of their bytes
                await asyncio.to_thread(_return_memory)


def _return_memory() -> None:
    """Give free memory back to the operating system; glibc keeps it, other C libraries have no such function."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
