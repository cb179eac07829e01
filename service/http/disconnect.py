"""Cancellation of a request whose client has disconnected (`while_connected`): its queued images are not computed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

WATCH_AFTER_S = 0.05  # most responses are sent sooner; a watcher for each of those would cost more than it saves


@contextlib.asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancel the enclosed work when the client disconnects. The body must have been read to its end.

    Raises:
        ClientDisconnect: the client disconnected.
    """
    task = asyncio.current_task()
    assert task is not None
    inside, disconnected = True, False

    def on_disconnect(_: "asyncio.Task[object]") -> None:
        nonlocal disconnected
        if inside:
            disconnected = True
            task.cancel()

    watch: asyncio.Task[object] | None = None

    def begin() -> None:
        nonlocal watch
        watch = asyncio.create_task(_next_message(request))  # after the body, the only message is http.disconnect
        watch.add_done_callback(on_disconnect)

    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, begin)
    try:
        yield
    except asyncio.CancelledError:
        if disconnected and task.uncancel() == 0:  # not cancelled by anything else
            raise ClientDisconnect from None
        raise
    finally:
        inside = False
        timer.cancel()
        if watch is not None:
            watch.cancel()


async def _next_message(request: Request) -> object:
    return await request.receive()
