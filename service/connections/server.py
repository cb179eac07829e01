"""uvicorn's server (`Server`) with our connections, which drains before it closes the port."""

import asyncio
import functools
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from foveal.service.connections.protocol import Connection
from foveal.service.connections.table import ConnectionTable, Limits
from foveal.service.errors import RequestError
from foveal.service.settings import Settings

QUEUE = 2048  # connections that wait to be accepted
ACCEPTED_AT_ONCE = 32  # between two looks at the others: at the limit, a new one is read before it is the oldest
SAME_CTRL_C_S = 1.0  # a terminal's Ctrl-C reaches this process twice: itself and through its parent


class Server(uvicorn.Server):
    """A server that after SIGTERM goes on for `drain_s`, so that load balancers notice before they are refused.

    Meanwhile /readyz is 503, new connections are accepted, and every answer says `Connection: close`: clients leave by
    themselves. Then the port is closed, requests in flight are answered, idle connections closed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        settings: Settings,
        on_stop: Callable[[], None],
        on_refusal: Callable[[RequestError], None],
    ) -> None:
        """`on_stop` is called at the first signal, in the signal's handler."""
        self._table = ConnectionTable(Limits.of(settings), on_refusal)
        config.http = functools.partial(Connection, table=self._table)  # type: ignore[assignment]
        config.backlog = ACCEPTED_AT_ONCE
        super().__init__(config)
        self._drain_s = settings.drain_s
        self._on_stop = on_stop
        self._signalled_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler. A later Ctrl-C ends the process without waiting for requests."""
        now = time.monotonic()
        if self._signalled_at is None:
            self._signalled_at = now
            self._table.draining = True
            self._on_stop()
            if sig != signal.SIGTERM:
                self._drain_s = 0.0
        elif sig == signal.SIGINT and now - self._signalled_at < SAME_CTRL_C_S:
            return
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """asyncio takes one number for both, the length of the queue and what it accepts at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(QUEUE)

    async def main_loop(self) -> None:
        """Until the end of draining."""
        await super().main_loop()
        end = time.monotonic() + self._drain_s
        while time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.05)

    async def _serve(self, sockets: list[socket.socket] | None = None) -> Any:
        async with self._table.sweeping():
            return await super()._serve(sockets)
