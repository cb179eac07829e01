"""A client that hangs up wants no answer any more: what still waits for it is never computed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

PATIENCE_S = 0.05  # most answers are there sooner; to watch for each of them would cost more than it spares


@contextlib.asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancel what runs inside when the client goes. The body must have been read to its end: what comes next is that.

    Raises:
        ClientDisconnect: it went.
    """
    task = asyncio.current_task()
    assert task is not None
    inside, gone = True, False

    def hung_up(_: "asyncio.Task[object]") -> None:
        nonlocal gone
        if inside:
            gone = True
            task.cancel()

    watch: asyncio.Task[object] | None = None

    def begin() -> None:
        nonlocal watch
        watch = asyncio.create_task(_next_message(request))
        watch.add_done_callback(hung_up)

    timer = asyncio.get_running_loop().call_later(PATIENCE_S, begin)
    try:
        yield
    except asyncio.CancelledError:
        if gone and task.uncancel() == 0:  # nobody else cancels us
            raise ClientDisconnect from None
        raise
    finally:
        inside = False
        timer.cancel()
        if watch is not None:
            watch.cancel()


async def _next_message(request: Request) -> object:
    return await request.receive()
