"""The application in this process, over ASGI (`running`, `run`), for tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveal.service.application import Application
from foveal.service.errors import NotReady
from foveal.service.settings import Settings


@asynccontextmanager
async def running(
    zoo: Path, clock: Callable[[], float] = time.monotonic, **settings: Any
) -> AsyncIterator[tuple[Application, httpx.AsyncClient]]:
    """An application with loaded models, and a client."""
    application = Application(Settings(zoo=zoo, **settings), clock)
    async with application.lifespan():
        while not application.models.loaded:
            await asyncio.sleep(0.005)
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield application, client


def run(zoo: Path, check: Callable[[Application, httpx.AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        async with running(zoo, **settings) as (application, client):
            await asyncio.wait_for(check(application, client), 30)

    asyncio.run(whole())


def not_ready(application: Application) -> str:
    """The reason why the application is not ready."""
    with pytest.raises(NotReady) as raised:
        application.models.check_ready()
    return str(raised.value)
