"""A long mixed load on the service with the shipped zoo, in a memory cgroup: is it ever killed, slow or leaking?

64 connections send good requests, bombs and misbehaviour at random; another process asks /livez all the while. Exits
with 1 if a rule is broken: the process was killed, a 5xx other than 503 and 504, a good answer missing at the end, a
growing memory. Memory is measured once a minute, while nothing is in flight: under load it is what the budget gives.
Without permission for memory cgroups it says so and runs without a limit.

    PYTHONPATH=. python benchmarks/serving/soak.py [--minutes 10] [--memory-mb 1024] [--connections 64]
"""

import argparse
import asyncio
import json
import logging
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.helpers.bombs import MISBEHAVE, ask, bombs
from tests.helpers.hostile_images import written
from tests.helpers.probes import Probes
from tests.helpers.servers import Server

ROOT = Path(__file__).parents[2]
GROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
GOOD_SHARE, BOMB_SHARE = 0.7, 0.2  # the rest misbehaves
GROWTH_MB_A_MINUTE = 2.0  # of idle memory over the last half: less is noise
NOISE = 1.05  # idle memory swings with what the allocator keeps: a leak also raises the highest value by more than that
EVERY_S, SETTLE_S = 60.0, 2.0  # between two measurements of idle memory; from the last answer to one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    group = memory_group(arguments.memory_mb)
    print(
        f"memory cgroup: {'none: no permission to make one' if group is None else f'{arguments.memory_mb} MB'}",
        flush=True,
    )
    with Server(ROOT / "zoo", Path(tempfile.mkdtemp()) / "log", cgroup=group) as server:
        found = run(server, arguments)
    if group is not None:
        found["peak_mb"] = round(peak_bytes(group) / 1e6)
    print(json.dumps(found, indent=1))
    faults = broken_rules(found)
    print("\n".join(faults) or "all rules kept")
    return 1 if faults else 0


def run(server: Server, arguments: argparse.Namespace) -> dict[str, object]:
    with Probes(server.url, every_s=0.25) as probes:
        answers, memory = asyncio.run(load(server, arguments))
    killed = server.process.poll() is not None
    began = time.monotonic()
    good = not killed and post(server.url) == 200
    half = memory[len(memory) // 2 :]
    slope = float(np.polyfit([t / 60 for t, _ in half], [mb for _, mb in half], 1)[0]) if len(half) > 2 else 0.0
    return {
        "answers": dict(sorted(answers.items())),
        "killed": killed,
        "livez_probes": len(probes.latencies_ms),
        "livez_failed": probes.failed,
        "livez_p50_ms": round(probes.median_ms(), 1),
        "livez_p99_ms": round(probes.p99_ms(), 1),
        "good_afterwards": good,
        "good_afterwards_ms": round(1000 * (time.monotonic() - began), 1),
        "idle_pss_mb": [round(mb) for _, mb in memory],
        "idle_pss_slope_mb_a_minute": round(slope, 2),
    }


def broken_rules(found: dict[str, object]) -> list[str]:
    faults = []
    if found["killed"]:
        faults.append("killed: the process is gone")
    for answer in found["answers"]:  # type: ignore[attr-defined]
        status = answer.rpartition(" ")[2]
        if status.startswith("5") and status not in ("503", "504"):
            faults.append(f"{answer}: expected no 5xx other than 503 and 504")
    if not found["good_afterwards"]:
        faults.append("no answer to a good request afterwards")
    idle: list[int] = found["idle_pss_mb"]  # type: ignore[assignment]
    half = len(idle) // 2
    higher = half > 0 and max(idle[half:]) > NOISE * max(idle[:half])
    if higher and float(found["idle_pss_slope_mb_a_minute"]) > GROWTH_MB_A_MINUTE:  # type: ignore[arg-type]
        faults.append(f"memory grows by {found['idle_pss_slope_mb_a_minute']} MB a minute")
    return faults


async def load(server: Server, arguments: argparse.Namespace) -> tuple[Counter[str], list[tuple[float, float]]]:
    """Answers by request; (seconds, megabytes) of idle memory."""
    hostile, good = bombs(), good_requests()
    answers: Counter[str] = Counter()
    memory: list[tuple[float, float]] = []
    end = time.monotonic() + 60 * arguments.minutes
    open_gate, in_flight = asyncio.Event(), 0

    async def connection(seed: int) -> None:
        nonlocal in_flight
        choose = random.Random(seed)
        while time.monotonic() < end and server.process.poll() is None:
            await open_gate.wait()
            in_flight += 1
            await one(choose)
            in_flight -= 1

    async def one(choose: random.Random) -> None:
        kind = choose.random()
        if kind < GOOD_SHARE:
            path, body = choose.choice(good)
            answers[f"good {await ask(server.port, path, 'image/x', body)}"] += 1
        elif kind < GOOD_SHARE + BOMB_SHARE:
            name = choose.choice(list(hostile))
            answers[f"{name} {await ask(server.port, '/v1/classify?model=shapes', *hostile[name])}"] += 1
        else:
            name = choose.choice(list(MISBEHAVE))
            with suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                await MISBEHAVE[name](server.port)  # type: ignore[misc]
            answers[f"{name} over"] += 1

    async def watch() -> None:
        began = time.monotonic()
        while time.monotonic() < end:
            open_gate.set()
            await asyncio.sleep(EVERY_S)
            open_gate.clear()
            while in_flight:
                await asyncio.sleep(0.1)
            await asyncio.sleep(SETTLE_S)
            memory.append((time.monotonic() - began, pss_mb(server.process.pid)))
        open_gate.set()

    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the server resets those who misbehave
    await asyncio.gather(watch(), *map(connection, range(arguments.connections)))
    return answers, memory


def good_requests() -> list[tuple[str, bytes]]:
    """Paths and images of every task: drawn ones, and one large photograph."""
    noise = np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)
    large = written(Image.fromarray(noise).resize((4000, 3000)), "JPEG", quality=80)
    small = written(Image.fromarray(noise), "JPEG", quality=90)
    paths = [
        "/v1/classify?model=shapes",
        "/v1/classify?model=sign-digits",
        "/v1/detect",
        "/v1/instances",
        "/v1/segment",
    ]
    return [*((path, small) for path in paths), (paths[0], large), (paths[2], large), ("/v1/segment?tile=640", large)]


def post(url: str) -> int:
    request = urllib.request.Request(url + "/v1/classify?model=shapes", good_requests()[0][1], method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def pss_mb(pid: int) -> float:
    """Proportional memory of a process and its children."""
    total = 0
    with suppress(psutil.Error):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 1e6


def memory_group(limit_mb: int) -> Path | None:
    """A new memory cgroup (version 1 or 2) with this limit, or None without permission."""
    for parent in GROUPS:
        limit = "memory.limit_in_bytes" if parent.name == "memory" else "memory.max"
        group = parent / f"foveal-soak-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(limit_mb * 1_000_000))
        except OSError:
            with suppress(OSError):
                group.rmdir()
            continue
        return group
    return None


def peak_bytes(group: Path) -> int:
    for name in ("memory.max_usage_in_bytes", "memory.peak"):
        with suppress(OSError):
            return int((group / name).read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
