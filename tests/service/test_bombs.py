"""Requests that cost more than they weigh, and floods of connections, against a real service. Slow."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.helpers.bombs import MISBEHAVE, ask, bombs
from tests.helpers.packages import png, write_colours
from tests.helpers.probes import Probes
from tests.helpers.servers import Server

pytestmark = pytest.mark.slow
RED = png((255, 0, 0))
BOMBS = bombs()
HEAD_S = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bombs")
    write_colours(folder / "zoo")
    with Server(folder / "zoo", folder / "log", head_s=HEAD_S, keep_alive_s=HEAD_S, write_s=5) as server:
        yield server


def good(server: Server) -> float:
    """Seconds of a good request."""
    began = time.monotonic()
    assert httpx.post(server.url + "/v1/classify", content=RED, timeout=30).status_code == 200
    return time.monotonic() - began


def tree(server: Server) -> list[psutil.Process]:
    return [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]


def rss(server: Server) -> int:
    return int(sum(process.memory_info().rss for process in tree(server)))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_harms_nobody_else(server: Server, name: str) -> None:
    async def several() -> list[str]:
        statuses: list[str] = []
        end = time.monotonic() + 4
        while time.monotonic() < end:
            statuses += await asyncio.gather(*(ask(server.port, "/v1/classify", *BOMBS[name]) for _ in range(2)))
        return statuses

    with Probes(server.url, every_s=0.03) as probes:
        statuses = asyncio.run(several())
    assert good(server) < 1
    assert set(statuses) <= {"200", "400", "413", "415", "422", "429", "503", "504"}
    print(name, Counter(statuses), f"p50 {probes.median_ms():.0f} ms, p99 {probes.p99_ms():.0f} ms")
    assert probes.failed == 0
    assert len(probes.latencies_ms) >= 40
    assert probes.p99_ms() <= 200


def test_floods_of_silent_and_half_sent_connections(server: Server) -> None:
    """5,000 silent and 1,000 half-sent: others are served, descriptors are bounded, all are closed in time."""

    async def held(start: bytes) -> float:
        """Seconds until the service closes a connection that sent this much."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        began = time.monotonic()
        with suppress(ConnectionError):
            writer.write(start)
            while await reader.read(65536):
                pass
        writer.close()
        return time.monotonic() - began

    async def flood() -> tuple[list[float], int, list[float]]:
        starts = [b""] * 5000 + [b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"] * 1000
        tasks = []
        for i, start in enumerate(starts):
            tasks.append(asyncio.create_task(held(start)))
            if i % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(1)
        descriptors = max(process.num_fds() for process in tree(server))
        answers = [await asyncio.to_thread(good, server) for _ in range(5)]
        return await asyncio.gather(*tasks), descriptors, answers

    with Probes(server.url) as probes:
        seconds, descriptors, answers = asyncio.run(flood())
    print(f"closed after {max(seconds):.1f} s at most; {descriptors} descriptors; answers in {max(answers):.2f} s; "
          f"/livez p99 {probes.p99_ms():.0f} ms, {probes.failed} of {len(probes.latencies_ms)} failed")  # fmt: skip
    assert probes.failed == 0
    assert descriptors < 4096
    assert max(seconds) < 3 * HEAD_S + 5
    assert max(answers) < 5


def test_clients_that_never_read_are_closed_and_their_memory_is_back(server: Server) -> None:
    good(server)
    before = rss(server)

    async def flood() -> None:
        await asyncio.gather(*(MISBEHAVE["unread answer"](server.port) for _ in range(60)), return_exceptions=True)

    asyncio.run(flood())
    deadline = time.monotonic() + 30
    while open_connections(server):
        assert time.monotonic() < deadline, f"{open_connections(server)} connections are still open"
        time.sleep(0.2)
    assert good(server) < 1
    after = rss(server)
    print(f"RSS {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    assert after - before < 150_000_000


def open_connections(server: Server) -> int:
    return sum(c.status == "ESTABLISHED" for process in tree(server) for c in process.net_connections())


@pytest.mark.parametrize("name", ["JPEG of 62 scans", "RGBA PNG", "empty objects", "AVIF of 64 megapixels"])
def test_sigterm_ends_within_its_grace(tmp_path: Path, name: str) -> None:
    write_colours(tmp_path / "zoo")
    with Server(tmp_path / "zoo", tmp_path / "log", drain_s=0, grace_s=5) as server:

        async def bombard() -> float:
            tasks = [asyncio.create_task(ask(server.port, "/v1/classify", *BOMBS[name])) for _ in range(8)]
            await asyncio.sleep(1)
            began = time.monotonic()
            await asyncio.to_thread(server.stop, signal.SIGTERM)
            took = time.monotonic() - began
            await asyncio.gather(*tasks)
            return took

        assert asyncio.run(bombard()) < 9
