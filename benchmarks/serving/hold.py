"""Endurance of the service: long runs, four times its capacity, memory, killed workers, start times.

The load generator runs on the first core, the service on the last. Every part prints its measurements; none is compared
with a target.

    PYTHONPATH=. python benchmarks/serving/hold.py PHOTOS [--requests 10000] [--parts long,flood,memory,kill,start]
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from foveal.imaging.image_files import SUFFIXES
from foveal.service.loadtest.capacity import queue_length
from foveal.service.loadtest.generator import HttpTarget, Level, closed_loop, open_loop
from foveal.service.loadtest.generator import knee as find_knee
from tests.helpers.packages import encoded
from tests.helpers.servers import Server

ROOT = Path(__file__).parent.parent.parent
CORES = sorted(os.sched_getaffinity(0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--zoo", type=Path, default=ROOT / "zoo")
    parser.add_argument("--path", default="/v1/detect?model=blood-cells")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    photos = [path for path in sorted(arguments.photos.rglob("*")) if path.suffix.lower() in SUFFIXES][:40]
    images = [path.read_bytes() for path in photos]
    for part in arguments.parts.split(","):
        print(f"\n{part}", flush=True)
        PARTS[part](arguments, images)


@contextlib.contextmanager
def serving(arguments: argparse.Namespace, **settings: object) -> Iterator[Server]:
    """The service on the last core, this process on the first."""
    log = Path(tempfile.mkdtemp()) / "log"
    os.sched_setaffinity(0, {CORES[-1]})  # children inherit it
    with Server(arguments.zoo, log, ort_threads=1, image_threads=1, **settings) as server:
        os.sched_setaffinity(0, {CORES[0]})
        yield server


def workers(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "foveal.service.bentoml_host" in " ".join(child.cmdline())]


def closed(server: Server, arguments: argparse.Namespace, images: Sequence[bytes], width: int, **end: float) -> Level:
    async def ask() -> Level:
        async with HttpTarget(server.url + arguments.path) as target:
            return await closed_loop(target, images, connections=width, **end)  # type: ignore[arg-type]

    return asyncio.run(ask())


def long(arguments: argparse.Namespace, images: Sequence[bytes]) -> None:
    """Many requests at 8 and at 64 connections, with the latency of /livez meanwhile."""
    with serving(arguments) as server:
        for width in (8, 64):
            level, waited = asyncio.run(with_livez(server, arguments, images, width))
            print(f"{width} connections: {show(level)}")
            print(f"  /livez meanwhile: median {statistics.median(waited):.1f} ms, largest {max(waited):.1f} ms")


async def with_livez(
    server: Server, arguments: argparse.Namespace, images: Sequence[bytes], width: int
) -> tuple[Level, list[float]]:
    async with HttpTarget(server.url + arguments.path) as target, httpx.AsyncClient() as client:
        load = asyncio.create_task(closed_loop(target, images, connections=width, requests=arguments.requests))
        waited = []
        while not load.done():
            started = time.perf_counter()
            await client.get(server.url + "/livez")
            waited.append(1000 * (time.perf_counter() - started))
            await asyncio.sleep(0.1)
        return await load, waited


def flood(arguments: argparse.Namespace, images: Sequence[bytes]) -> None:
    """An open loop at four times the capacity, with the queue that `foveal bench` recommends."""
    with serving(arguments) as server:
        found = find_knee([closed(server, arguments, images, width, seconds=4) for width in (1, 2, 4, 8)])
    knee = int(found.load)
    with serving(arguments, max_waiting_images=queue_length(found)) as server:
        closed(server, arguments, images, knee, seconds=2)
        calm = closed(server, arguments, images, knee, seconds=10)
        print(f"queue of {queue_length(found)}; calm, {knee} connections: {show(calm)}")

        async def over() -> tuple[Level, float]:
            async with HttpTarget(server.url + arguments.path) as target:
                level = await open_loop(target, images, rate_per_s=4 * calm.throughput_per_s, seconds=20)
                started = time.perf_counter()
                while (await target.send(images[0])).status != 200:
                    await asyncio.sleep(0.05)
                return level, time.perf_counter() - started

        level, recovery_s = asyncio.run(over())
        print(f"four times that: {show(level)}")
        print(
            f"  admitted p99 is {level.p99_ms / calm.p99_ms:.2f} times the calm one; next 200 after {recovery_s:.2f} s"
        )


def memory(arguments: argparse.Namespace, images: Sequence[bytes]) -> None:
    """RSS of the worker over images of many sizes and containers."""
    dice = np.random.default_rng(0)
    mixed = list(images)
    for container in ("JPEG", "PNG", "WEBP", "BMP", "TIFF") * 8:
        size = tuple(int(side) for side in dice.integers(16, 2000, 2))
        mixed.append(encoded(Image.open(Path(__file__).parent / "../../examples/nuclei.png").resize(size), container))
    with serving(arguments) as server:
        (worker,) = workers(server)
        used = []
        for _ in range(arguments.requests // 1000):
            level = closed(server, arguments, mixed, 8, requests=1000)
            used.append(worker.memory_info().rss / 1e6)
            print(f"  {show(level)}; RSS {used[-1]:.0f} MB", flush=True)
        print(f"RSS after the last thousand is {100 * (used[-1] / used[0] - 1):+.1f} % of that after the first")


def kill(arguments: argparse.Namespace, images: Sequence[bytes]) -> None:
    """SIGKILL to the only worker: time until the next 200."""
    # one client, since making one takes 30 ms of CPU time; new connections, since the old ones are lost
    new_each_time = httpx.Limits(max_keepalive_connections=0)
    with serving(arguments) as server, httpx.Client(timeout=60, limits=new_each_time) as client:
        for _ in range(5):
            (worker,) = workers(server)
            started = time.perf_counter()
            worker.kill()
            while client.post(server.url + arguments.path, content=images[0]).status_code != 200:
                time.sleep(0.02)
            print(f"responds again after {time.perf_counter() - started:.2f} s")


def start(arguments: argparse.Namespace, _images: Sequence[bytes]) -> None:
    """Time from the command to readiness."""
    packages = len([path for path in arguments.zoo.glob("*/*") if path.is_dir()])
    for _ in range(5):
        started = time.perf_counter()
        with serving(arguments):
            print(f"{packages} packages ready after {time.perf_counter() - started:.2f} s")


def show(level: Level) -> str:
    figures = (
        f"{level.throughput_per_s:.1f}/s, p50 {level.p50_ms:.0f}, p95 {level.p95_ms:.0f}, p99 {level.p99_ms:.0f} ms"
    )
    return f"{level.statuses}, {figures}"


PARTS = {"long": long, "flood": flood, "memory": memory, "kill": kill, "start": start}

if __name__ == "__main__":
    main()
