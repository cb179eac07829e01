"""A client that hangs up wants no answer any more: what still waits for it is never computed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request


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

    watch = asyncio.create_task(_next_message(request))
    watch.add_done_callback(hung_up)
    try:
        yield
    except asyncio.CancelledError:
        if gone and task.uncancel() == 0:  # nobody else cancels us
            raise ClientDisconnect from None
        raise
    finally:
        inside = False
        watch.cancel()


async def _next_message(request: Request) -> object:
    return await request.receive()
