"""`foveal bench` and its load generator: counts, latencies, knee, recommendations."""

import asyncio
import json
import math
from pathlib import Path

import pytest

from foveal.errors import BadRequest
from foveal.service.loadtest.capacity import Trial, chosen, cores, recommended
from foveal.service.loadtest.generator import HttpTarget, Level, Reply, closed_loop, knee, open_loop
from tests.helpers.commandline import foveal
from tests.helpers.packages import png
from tests.helpers.servers import Server


class Slow:
    """Answers after a while, so many at once; notes what it was asked."""

    def __init__(self, latency_s: float = 0.0, at_once: int = 1000, statuses: tuple[int, ...] = (200,)) -> None:
        self.asked: list[bytes] = []
        self.inside = self.most_inside = 0
        self._latency_s, self._turns, self._statuses = latency_s, asyncio.Semaphore(at_once), statuses

    async def send(self, image: bytes) -> Reply:
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        async with self._turns:
            await asyncio.sleep(self._latency_s)
        self.inside -= 1
        self.asked.append(image)
        return Reply(self._statuses[len(self.asked) % len(self._statuses)], {"inference": 7.0})


def test_a_closed_loop_asks_so_many_times_with_so_many_at_once() -> None:
    target = Slow(0.001)
    level = asyncio.run(closed_loop(target, [b"a", b"b"], connections=4, requests=20))
    assert sorted(target.asked) == [b"a"] * 10 + [b"b"] * 10
    assert target.most_inside == 4
    assert (level.load, level.requests, level.statuses, level.failed) == (4, 20, {"200": 20}, 0)
    assert level.stages_ms == {"inference": 7.0}
    assert 1 <= level.p50_ms <= level.p95_ms <= level.p99_ms


def test_a_closed_loop_ends_in_time() -> None:
    level = asyncio.run(closed_loop(Slow(0.01), [b"a"], connections=2, seconds=0.2))
    assert 2 <= level.requests <= 42


def test_an_open_loop_does_not_wait_for_answers() -> None:
    """A closed loop would ask one at a time of a target that takes one at a time, and never see its queue grow."""
    target = Slow(0.02, at_once=1)
    level = asyncio.run(open_loop(target, [b"a"], rate_per_s=500, seconds=0.1))
    assert level.requests == 50
    assert target.most_inside > 5
    assert level.p99_ms > 500, "the last one waited for nearly all others"


def test_only_good_answers_count_as_throughput_and_latency() -> None:
    level = asyncio.run(closed_loop(Slow(statuses=(200, 429, 0)), [b"a"], connections=1, requests=30))
    assert level.statuses == {"200": 10, "429": 10, "lost": 10}
    assert level.failed == 20
    none = asyncio.run(closed_loop(Slow(statuses=(503,)), [b"a"], connections=1, requests=3))
    assert none.throughput_per_s == 0
    assert math.isnan(none.p99_ms)


def level(connections: int, throughput_per_s: float) -> Level:
    return Level(connections, 1, {"200": 1}, throughput_per_s, 1, 1, 1, {})


def test_the_knee_is_the_first_level_close_to_the_best() -> None:
    rising = [level(1, 10), level(2, 19), level(4, 38.5), level(8, 40), level(16, 39)]
    assert knee(rising).load == 4
    assert knee(rising[:1]).load == 1


def test_what_is_recommended() -> None:
    assert recommended(level(4, 1), []) == {"FOVEAL_MAX_WAITING_IMAGES": 5}, "of a service only the queue is known"
    one, two, batch = Trial(1, 1, 100, 5, cores()), Trial(2, 1, 104, 5, cores()), Trial(1, 2, 120, 5, cores() / 2.5)
    assert chosen([one, two]) is one, "4 % more is not worth a thread"
    assert chosen([one, two, batch]) is batch
    found = recommended(level(4, 1), [one, two, batch])
    assert (found["FOVEAL_ORT_THREADS"], found["FOVEAL_BATCH_SIZE"]) == (1, 2)
    assert found["FOVEAL_WORKERS"] == min(2, cores()), "a process that leaves cores idle gets a second beside it"


def test_over_http_with_stages_and_refusals(server: Server) -> None:
    async def check() -> None:
        async with HttpTarget(server.url + "/v1/classify") as target:
            level = await closed_loop(target, [png((255, 0, 0))], connections=3, requests=12)
            assert level.statuses == {"200": 12}
            assert {"decode", "queue", "inference"} <= set(level.stages_ms)
            assert (await target.send(b"no image")).status == 415
        async with HttpTarget("http://127.0.0.1:9") as nobody:
            assert (await nobody.send(b"")).status == 0

    asyncio.run(check())


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "red.png"
    path.write_bytes(png((255, 0, 0)))
    return str(path)


def test_the_command_on_a_service(server: Server, image: str) -> None:
    url = server.url + "/v1/classify"
    code, stdout, stderr = foveal("bench", url, image, "--connections", "2,1", "--seconds", "0.2", "--json")
    assert code == 0, stderr
    report = json.loads(stdout)
    assert [row["load"] for row in report["levels"]] == [1, 2]
    assert all(row["statuses"].keys() == {"200"} for row in report["levels"])
    knee = report["knee_connections"]
    assert report["recommended"] == {"FOVEAL_MAX_WAITING_IMAGES": knee + knee // 4}


def test_the_command_on_a_package(colour_zoo: Path, image: str) -> None:
    package = str(colour_zoo / "colours" / "2")
    code, stdout, stderr = foveal("bench", package, image, "--connections", "1,2", "--seconds", "0.2")
    assert code == 0, stderr
    assert "knee" in stdout
    assert "FOVEAL_ORT_THREADS=" in stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--connections", "0"], "--connections"),
        (["--header", "nonsense"], "--header"),
        (["--header", "Accept: text/html"], "got 406"),
    ],
)
def test_what_cannot_be_measured_is_refused(server: Server, image: str, arguments: list[str], message: str) -> None:
    with pytest.raises(BadRequest, match=message) as raised:
        foveal("bench", server.url + "/v1/classify", image, *arguments)
    assert "nonsense" not in str(raised.value), "a header may hold a key"
