"""Limits of an upload, a full queue, deadlines: in process, over ASGI."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveal.inference.pipeline import Predictor
from foveal.service.application import Application
from foveal.service.http.middleware import RequestMiddleware
from foveal.service.observability.logs import JsonLines
from tests.helpers.applications import run
from tests.helpers.packages import png

RED = png((255, 0, 0))


# --- bytes and time of an upload ---


def test_a_body_is_refused_as_soon_as_it_is_over_the_limit(colour_zoo: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            await asyncio.sleep(0)
            yield b"x" * 1000

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await asyncio.wait_for(client.post("/v1/classify", content=endless()), 10)
        assert response.status_code == 413
        assert response.headers["connection"] == "close"

    run(colour_zoo, check, max_body_bytes=50_000)
    assert 50_000 < sent < 200_000


@pytest.mark.parametrize("pauses", [(0.0, 9.0), (0.08, 0.08, 0.08, 0.08, 0.08, 0.08)], ids=["stops", "drips"])
def test_a_slow_upload_is_given_up(colour_zoo: Path, pauses: tuple[float, ...]) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for pause in pauses:
            await asyncio.sleep(pause)
            yield b"x"

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/classify", content=slow())
        assert response.status_code == 408
        assert response.json()["title"] == "Upload too slow"

    run(colour_zoo, check, upload_idle_s=0.2, upload_s=0.3)


def test_pixels_over_the_limit(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/classify", content=png((1, 2, 3), (200, 100)))
        assert response.status_code == 413
        assert "at most 19999 pixels" in response.json()["detail"]

    run(colour_zoo, check, max_pixels=19_999)


# --- overload and deadlines ---


class Blocked:
    """Replaces Predictor.infer by one that waits, and counts what was computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.computed = 0
        real = Predictor.infer

        def infer(predictor: Predictor, batch: Any, options: Any) -> Any:
            self.go.wait(10)
            self.computed += len(batch)
            return real(predictor, batch, options)

        self._patch = (monkeypatch, infer)

    def on(self) -> None:
        """From now on; not during the golden check."""
        monkeypatch, infer = self._patch
        monkeypatch.setattr(Predictor, "infer", infer)


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocked]:
    made = Blocked(monkeypatch)
    yield made
    made.go.set()


def block(application: Application, blocked: Blocked) -> None:
    """The batchers hold the bound method: exchange it there."""
    blocked.on()
    for served in application.models.snapshot.served.values():
        served.batcher._infer = served.predictor.infer


def test_more_than_the_queue_holds_gets_429_and_a_time_to_come_back(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        first = [asyncio.create_task(client.post("/v1/classify", content=RED)) for _ in range(4)]
        await asyncio.sleep(0.2)
        refused = await client.post("/v1/classify", content=RED)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        other = await asyncio.wait_for(client.get("/v1/models"), 1)
        assert other.status_code == 200, "the event loop is free meanwhile"
        blocked.go.set()
        assert [response.status_code for response in await asyncio.gather(*first)] == [200] * 4
        assert (await client.post("/v1/classify", content=RED)).status_code == 200
        assert 'foveal_rejections_total{fault="Busy"} 1.0' in (await client.get("/metrics")).text

    run(colour_zoo, check, max_waiting_images=4)


def test_a_full_queue_refuses_before_the_body_is_read(colour_zoo: Path, blocked: Blocked) -> None:
    """And the connection lives on after a small body, which is thrown away; after another it is closed."""
    read = 0

    async def body(size: int) -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(size // 1000):
            read += 1
            yield bytes(1000)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        nonlocal read
        block(application, blocked)
        first = [asyncio.create_task(client.post("/v1/classify?top_k=1", content=RED)) for _ in range(2)]
        await asyncio.sleep(0.2)
        for length, kept in (("50000", True), ("2000000", False), (None, False)):
            read = 0
            framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": length}
            answer = await client.post("/v1/classify", content=body(int(length or 50_000)), headers=framing)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
            assert ("connection" not in answer.headers) == kept, length
            assert read == 0, "the connection discards it: tests/service/test_connections.py"
        big = await client.post("/v1/segment", content=RED)
        assert big.status_code == 404, "another task's queue is its own"
        blocked.go.set()
        assert [response.status_code for response in await asyncio.gather(*first)] == [200] * 2

    run(colour_zoo, check, max_waiting_images=2)


def test_a_flood_of_refusals_is_a_line_a_second(
    colour_zoo: Path, blocked: Blocked, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        first = asyncio.create_task(client.post("/v1/classify", content=RED))
        await asyncio.sleep(0.2)
        for _ in range(9):
            assert (await client.post("/v1/classify", content=RED)).status_code == 429
        assert isinstance(application._entry, RequestMiddleware)
        application._entry._next_logged = 0.0  # as if the second were over
        assert (await client.post("/v1/classify", content=RED)).status_code == 429
        blocked.go.set()
        await first

    monkeypatch.setattr("foveal.service.http.middleware.REJECTION_LOG_INTERVAL_S", 1000)
    with caplog.at_level("INFO", "foveal.access"):
        run(colour_zoo, check, max_waiting_images=1)
    lines = [json.loads(JsonLines().format(r)) for r in caplog.records if r.name == "foveal.access"]
    assert [line["refused"] for line in lines if line["status"] == 429] == [1, 9]


def test_too_many_requests_at_once(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        first = [asyncio.create_task(client.post("/v1/classify", content=RED)) for _ in range(2)]
        await asyncio.sleep(0.2)
        assert (await client.post("/v1/classify", content=RED)).status_code == 429
        blocked.go.set()
        assert [response.status_code for response in await asyncio.gather(*first)] == [200] * 2

    run(colour_zoo, check, max_requests=2)


def test_a_request_larger_than_the_queue_is_served_when_nothing_waits(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/classify", files=[("image", ("a.png", RED))] * 5)
        assert response.status_code == 200

    run(colour_zoo, check, max_waiting_images=2)


def test_what_is_past_its_deadline_is_never_computed(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        responses = await asyncio.gather(*(client.post("/v1/classify", content=RED) for _ in range(6)))
        assert [response.status_code for response in responses] == [504] * 6
        blocked.go.set()
        await asyncio.sleep(0.1)
        assert blocked.computed == 1, "only the one that was in the session already"

    run(colour_zoo, check, request_s=0.4)


class Caller:
    """One request over bare ASGI, whose client may hang up."""

    def __init__(self, application: Application, body: bytes) -> None:
        self.gone = asyncio.Event()
        self.statuses: list[int] = []
        self._body: bytes | None = body
        scope = {"type": "http", "method": "POST", "path": "/v1/classify", "query_string": b"", "headers": []}
        self.done = asyncio.create_task(application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])


def test_what_a_client_no_longer_waits_for_is_never_computed(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        callers = [Caller(application, RED)]
        await asyncio.sleep(0.2)  # of two image threads, the second may be the first at the session
        callers += [Caller(application, RED) for _ in range(5)]
        await asyncio.sleep(0.2)
        for caller in callers[1:]:
            caller.gone.set()
        await asyncio.gather(*(caller.done for caller in callers[1:]))
        assert [caller.statuses for caller in callers[1:]] == [[499]] * 5
        blocked.go.set()
        await callers[0].done
        assert callers[0].statuses == [200]
        assert blocked.computed == 1
        assert 'foveal_requests_total{route="/v1/classify",status="499"} 5.0' in (await client.get("/metrics")).text

    run(colour_zoo, check, max_waiting_images=6)
