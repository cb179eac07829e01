"""Load generator: closed and open loops of requests to a target, with counted statuses and measured latencies.

Closed loop: each connection sends its next request when the last was answered; measures a target's capacity. Open loop:
requests are sent at a fixed rate, independently of the responses, as by many independent clients; measures behaviour
beyond the capacity (Schroeder et al., "Open versus closed: a cautionary tale", NSDI 2006).
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

LOST = 0  # status of a request without a response: connection refused, reset or closed
SINGLE_WRITE_BYTES = 2**20
DURATION = re.compile(r"([a-z]+);dur=([0-9.]+)")


@dataclass(frozen=True)
class Reply:
    """Response to one request: status, stage times, Retry-After."""

    status: int  # HTTP's, or LOST
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    retry_after_s: float | None = None
    detail: str = ""  # of an error


class Target(Protocol):
    """Destination of the requests."""

    async def send(self, image: bytes) -> Reply:
        """Predict for one image; a failure of the target is returned, not raised."""
        ...


class HttpTarget:
    """URL to which images are posted. An async context manager."""

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

    async def send(self, image: bytes) -> Reply:
        """POST the bytes."""
        try:
            # aiohttp writes bytes at once, and warns when they are many
            data = image if len(image) <= SINGLE_WRITE_BYTES else io.BytesIO(image)
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
    """Measured behaviour of a target under one load. Latencies are of responses with status 200, at the client."""

    load: float  # closed loop: connections; open loop: requests a second
    requests: int
    statuses: dict[str, int]  # "200", "429", …; "lost"
    throughput_per_s: float  # responses with status 200
    p50_ms: float
    p95_ms: float
    p99_ms: float
    stages_ms: dict[str, float]  # mean, by stage of Server-Timing

    @property
    def failed(self) -> int:
        """Number of requests without status 200."""
        return self.requests - self.statuses.get("200", 0)


@dataclass
class ReplyLog:
    """Replies of one level with their latencies."""

    replies: list[tuple[Reply, float]] = field(default_factory=list)  # with their latency in seconds

    async def timed(self, target: Target, image: bytes) -> Reply:
        """Send one request and record its reply and latency."""
        started = time.perf_counter()
        reply = await target.send(image)
        self.replies.append((reply, time.perf_counter() - started))
        return reply

    def level(self, load: float, seconds: float) -> Level:
        """The measurements; latencies are NaN without any status 200."""
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
    """Run each connection for `seconds`, or all of them until `requests` were sent."""
    log, queue = ReplyLog(), _cycled(images, requests)
    started = time.perf_counter()

    async def connection() -> None:
        for image in queue:
            await log.timed(target, image)
            if time.perf_counter() - started >= seconds:
                return

    await asyncio.gather(*(connection() for _ in range(connections)))
    return log.level(connections, time.perf_counter() - started)


async def open_loop(target: Target, images: Sequence[bytes], *, rate_per_s: float, seconds: float) -> Level:
    """Send a request every 1/rate seconds, whether earlier ones were answered or not."""
    log, loop = ReplyLog(), asyncio.get_running_loop()
    started = loop.time()
    sent = []
    for number, image in enumerate(_cycled(images, int(rate_per_s * seconds))):
        await asyncio.sleep(started + number / rate_per_s - loop.time())
        sent.append(asyncio.create_task(log.timed(target, image)))
    await asyncio.gather(*sent)
    return log.level(rate_per_s, loop.time() - started)


def _cycled(images: Sequence[bytes], requests: int | None) -> Iterator[bytes]:
    """The images in rotation, shared by all connections."""
    return itertools.islice(itertools.cycle(images), requests)


async def rising(
    target: Target,
    images: Sequence[bytes],
    *,
    connections: Sequence[int],
    seconds: float,
    report: Callable[[Level], object],
) -> list[Level]:
    """One closed loop for each number of connections; `report` is called with each level as it ends."""
    levels = []
    for width in connections:
        levels.append(await closed_loop(target, images, connections=width, seconds=seconds))
        report(levels[-1])
    return levels


def knee(levels: Sequence[Level]) -> Level:
    """The level of fewest connections with 95 % of the best throughput: more connections mostly add waiting."""
    best = max(level.throughput_per_s for level in levels)
    return next(level for level in levels if level.throughput_per_s >= 0.95 * best)
