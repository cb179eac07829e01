"""Reloading of the zoo under load: no request is lost, and a broken package never replaces a working one."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from foveal.service.application import Application
from foveal.service.errors import NotReady
from tests.helpers.applications import run
from tests.helpers.packages import png, write_colours

RED = png((255, 0, 0))
FAST = {"reload_s": 0.02}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def answering(client: httpx.AsyncClient, query: str = "") -> str:
    model = (await client.post(f"/v1/classify{query}", content=RED)).json().get("model", {})
    return f"{model.get('name')}@{model.get('version')}"


async def failed(client: httpx.AsyncClient) -> dict[str, str]:
    return {row["model"]: row["reason"] for row in (await client.get("/v1/models")).json()["failed"]}


def test_a_new_version_takes_over_under_load_and_an_old_one_stays_to_be_asked_for(tmp_path: Path) -> None:
    write_colours(tmp_path, version=1)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        statuses: list[int] = []
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                statuses.append((await client.post("/v1/classify", content=RED)).status_code)

        clients = [asyncio.create_task(load()) for _ in range(4)]
        for version in (2, 3):
            await asyncio.to_thread(write_colours, tmp_path, version=version)
            await until(lambda v=version: _is(client, f"colours@{v}"))
        assert await answering(client, "?model=colours@1") == "colours@1"
        shutil.rmtree(tmp_path / "colours" / "3")
        await until(lambda: _is(client, "colours@2"))
        stop.set()
        await asyncio.gather(*clients)
        assert set(statuses) == {200}

    run(tmp_path, check, **FAST)


async def _is(client: httpx.AsyncClient, ref: str) -> bool:
    return await answering(client) == ref


def test_a_broken_new_version_is_reported_and_the_old_one_goes_on(tmp_path: Path) -> None:
    write_colours(tmp_path, version=1)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        model = write_colours(tmp_path, version=2) / "model.onnx"
        whole = model.read_bytes()
        model.write_bytes(whole[:-1] + b"\0")
        await until(lambda: _failed(client, "colours@2"))
        assert "model.onnx" in (await failed(client))["colours@2"]
        assert await answering(client) == "colours@1"
        application.models.check_ready()
        assert "foveal_failed_packages 1.0" in (await client.get("/metrics")).text
        model.write_bytes(whole)
        await until(lambda: _is(client, "colours@2"))
        assert await failed(client) == {}

    run(tmp_path, check, **FAST)


async def _failed(client: httpx.AsyncClient, ref: str) -> bool:
    return ref in await failed(client)


def test_a_served_package_that_is_spoilt_in_place_goes_on_from_memory(tmp_path: Path) -> None:
    card = write_colours(tmp_path) / "CARD.md"

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        card.write_text("altered")
        await until(lambda: _failed(client, "colours@1"))
        assert await answering(client) == "colours@1"

    run(tmp_path, check, **FAST)


def test_a_zoo_that_vanishes_stops_nothing(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    write_colours(zoo)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        shutil.rmtree(zoo)
        await until(lambda: _failed(client, zoo.name))
        assert await answering(client) == "colours@1"

    run(zoo, check, **FAST)


def test_a_service_that_could_not_start_whole_turns_ready_when_mended(tmp_path: Path) -> None:
    write_colours(tmp_path, "good")
    model = write_colours(tmp_path, "bad") / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(b"")

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert list(await failed(client)) == ["bad@1"]
        model.write_bytes(whole)
        await until(lambda: _ready(application))
        assert await failed(client) == {}

    run(tmp_path, check, **FAST)


async def _ready(application: Application) -> bool:
    try:
        application.models.check_ready()
    except NotReady:
        return False
    return True


def test_sighup_looks_at_once(tmp_path: Path) -> None:
    write_colours(tmp_path, version=1)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        write_colours(tmp_path, version=2)
        await asyncio.sleep(0.1)
        assert await answering(client) == "colours@1"
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: _is(client, "colours@2"))

    settings: dict[str, Any] = {"reload_s": 0}
    run(tmp_path, check, **settings)
