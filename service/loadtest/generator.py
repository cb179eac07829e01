"""A load generator: images go to a target over many connections, and what came back is counted and timed.

Closed loop: each connection asks again as soon as it was answered; finds what a target can do. Open loop: requests come
at a fixed rate, whatever the answers do, as those of the world outside; finds what happens beyond that (Schroeder et
al., "Open versus closed: a cautionary tale", NSDI 2006).
"""

import asyncio
import io
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
import numpy as np

LOST = 0  # the status of a request that got no answer: connection refused, reset or closed
ONE_GO_BYTES = 2**20
DURATION = re.compile(r"([a-z]+);dur=([0-9.]+)")


@dataclass(frozen=True)
class Reply:
    """What one request got."""

    status: int  # HTTP's, or LOST
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    retry_after_s: float | None = None
    detail: str = ""  # of a failure


class Target(Protocol):
    """Where images go."""

    async def ask(self, image: bytes) -> Reply:
        """Predict for one image; never raises for what the target does."""
        ...


class HttpTarget:
    """An URL that images are posted to. An async context manager."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._headers = {"content-type": "application/octet-stream"} | dict(headers or {})

    async def __aenter__(self) -> "HttpTarget":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(120), headers=self._headers
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, image: bytes) -> Reply:
        """POST the bytes."""
        try:
            # aiohttp sends bytes in one go, and warns where that takes long
            data = image if len(image) <= ONE_GO_BYTES else io.BytesIO(image)
            async with self._session.post(self._url, data=data) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reply(LOST, detail=f"{type(error).__name__}: {error}")
        after = response.headers.get("retry-after")
        return Reply(
            response.status,
            {name: float(ms) for name, ms in DURATION.findall(response.headers.get("server-timing", ""))},
            float(after) if after else None,
            "" if response.status == 200 else body[:300].decode(errors="replace"),
        )


@dataclass(frozen=True)
class Level:
    """What a target did under one load. Latencies are those of requests answered with 200, as the client saw them."""

    load: float  # closed loop: connections; open loop: requests a second
    requests: int
    statuses: dict[str, int]  # "200", "429", …; "lost"
    throughput_per_s: float  # answers 200
    p50_ms: float
    p95_ms: float
    p99_ms: float
    stages_ms: dict[str, float]  # mean, by stage of Server-Timing

    @property
    def failed(self) -> int:
        """How many got anything but 200."""
        return self.requests - self.statuses.get("200", 0)


@dataclass
class Log:
    """Collects the replies of one level."""

    replies: list[tuple[Reply, float]] = field(default_factory=list)  # with their latency in seconds

    async def timed(self, target: Target, image: bytes) -> Reply:
        """Ask, and note what came back."""
        started = time.perf_counter()
        reply = await target.ask(image)
        self.replies.append((reply, time.perf_counter() - started))
        return reply

    def level(self, load: float, seconds: float) -> Level:
        """The figures; NaN where nothing was answered with 200."""
        good = [(reply, latency) for reply, latency in self.replies if reply.status == 200]
        latencies = np.array([latency for _, latency in good]) if good else np.array([np.nan])
        p50, p95, p99 = (float(1000 * np.percentile(latencies, q)) for q in (50, 95, 99))
        stages: Counter[str] = Counter()
        for reply, _ in good:
            stages.update(reply.stages_ms)
        statuses = Counter("lost" if reply.status == LOST else str(reply.status) for reply, _ in self.replies)
        means = {name: total / len(good) for name, total in stages.items()}
        return Level(load, len(self.replies), dict(statuses), len(good) / seconds, p50, p95, p99, means)


async def closed_loop(
    target: Target,
    images: Sequence[bytes],
    *,
    connections: int,
    seconds: float = float("inf"),
    requests: int | None = None,
) -> Level:
    """Each connection asks again once it was answered, for some seconds or until so many requests were made."""
    log, turns = Log(), _turns(images, requests)
    started = time.perf_counter()

    async def connection() -> None:
        for image in turns:
            await log.timed(target, image)
            if time.perf_counter() - started >= seconds:
                return

    await asyncio.gather(*(connection() for _ in range(connections)))
    return log.level(connections, time.perf_counter() - started)


async def open_loop(target: Target, images: Sequence[bytes], *, rate_per_s: float, seconds: float) -> Level:
    """A request every 1/rate seconds, answered or not."""
    log, loop = Log(), asyncio.get_running_loop()
    started = loop.time()
    asked = []
    for number, image in enumerate(_turns(images, int(rate_per_s * seconds))):
        await asyncio.sleep(started + number / rate_per_s - loop.time())
        asked.append(asyncio.create_task(log.timed(target, image)))
    await asyncio.gather(*asked)
    return log.level(rate_per_s, loop.time() - started)


def _turns(images: Sequence[bytes], requests: int | None) -> Iterator[bytes]:
    """The images in turn, shared by all connections."""
    return itertools.islice(itertools.cycle(images), requests)


async def rising(
    target: Target,
    images: Sequence[bytes],
    *,
    connections: Sequence[int],
    seconds: float,
    formatted: Callable[[Level], object],
) -> list[Level]:
    """A closed loop of each width in turn; `told` hears each level as it ends."""
    levels = []
    for width in connections:
        levels.append(await closed_loop(target, images, connections=width, seconds=seconds))
        formatted(levels[-1])
    return levels


def knee(levels: Sequence[Level]) -> Level:
    """The narrowest level with 95 % of the best throughput: more connections add waiting and little else."""
    best = max(level.throughput_per_s for level in levels)
    return next(level for level in levels if level.throughput_per_s >= 0.95 * best)
