"""Overhead of the service: one small JPEG, one connection, a trivial graph.

Foveal is compared with bare Starlette on uvicorn, which reads the same body and responds with the same number of bytes;
with Starlette that runs the same pipeline in a thread, without limits, metrics or logs; and with that pipeline in
process. Client on the first core, server on the last; rounds alternate, so that other load affects all alike.

    PYTHONPATH=. python benchmarks/serving/overhead.py [--rounds 5] [--requests 300]
"""

import argparse
import contextlib
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

import foveal
from foveal.inference.pipeline import Predictor
from tests.helpers.hostile_images import written
from tests.helpers.packages import write_colours
from tests.helpers.servers import Server

BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
async def answer(request):
    await request.body()
    return Response(b"x" * int(sys.argv[2]), media_type="application/json")
app = Starlette(routes=[Route("/v1/classify", answer, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""
AROUND = """
import asyncio, sys, cv2, uvicorn
from concurrent.futures import ThreadPoolExecutor
from foveal.formats import Entry, entry_bytes
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
cv2.setNumThreads(1)
model = Predictor(ModelPackage.open(sys.argv[2]), SessionSettings(threads=1))
options = Options().resolved(model.spec.defaults)
threads = ThreadPoolExecutor(1)
def work(body):
    return entry_bytes(Entry(None, model(body)), model.task.name, options)
async def answer(request):
    body = await asyncio.get_running_loop().run_in_executor(threads, work, await request.body())
    return Response(body, media_type="application/json")
app = Starlette(routes=[Route("/v1/classify", answer, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""
PORT = 39_117
IN_PROCESS = "the pipeline in process"
CORES = sorted(os.sched_getaffinity(0))


def photo(side: int = 420) -> bytes:
    """A JPEG of about 100 kB."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return written(Image.fromarray(noise).resize((side, side)), "JPEG", quality=62)


def ask(port: int, body: bytes, count: int) -> list[float]:
    """Milliseconds of each of `count` requests over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("POST", "/v1/classify", body, {"content-type": "image/jpeg"})
        response = connection.getresponse()
        response.read()
        taken.append(1000 * (time.perf_counter() - started))
        assert response.status == 200
    connection.close()
    return taken


def cpu_ms(process: psutil.Process) -> float:
    """Processor time of a process and its children so far."""
    tree = [process, *process.children(recursive=True)]
    return 1000 * sum(sum(each.cpu_times()[:2]) for each in tree)


def pin(process: psutil.Process, core: int) -> None:
    """Keep a process tree on one core."""
    for each in (process, *process.children(recursive=True)):
        for thread in each.threads():
            os.sched_setaffinity(thread.id, {core})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=300)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    write_colours(folder / "zoo")
    body = photo()
    predictor = foveal.load("colours", zoo=folder / "zoo")

    with (
        Server(folder / "zoo", folder / "log", ort_threads=1, image_threads=1) as server,
        script(BARE, PORT, 300) as bare,
        script(AROUND, PORT + 1, folder / "zoo/colours/1") as around,
    ):
        contenders = {
            "Foveal": (server.port, psutil.Process(server.process.pid)),
            "bare Starlette": (PORT, bare),
            "Starlette around the pipeline": (PORT + 1, around),
        }
        for port, process in contenders.values():
            wait(lambda port=port: ask(port, body, 1))
            pin(process, CORES[-1])
        os.sched_setaffinity(0, {CORES[0]})
        measure(contenders, predictor, body, arguments.rounds, arguments.requests)


@contextlib.contextmanager
def script(code: str, port: int, argument: object) -> Iterator[psutil.Process]:
    """A Python process that serves on a port."""
    with subprocess.Popen([sys.executable, "-c", code, str(port), str(argument)]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def alone(predictor: Predictor, body: bytes, count: int) -> tuple[list[float], float]:
    """Milliseconds of each of `count` predictions in this process, and processor time of one, on the servers' core."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[-1]})
    taken, before = [], time.process_time()
    for _ in range(count):
        started = time.perf_counter()
        predictor(body)
        taken.append(1000 * (time.perf_counter() - started))
    os.sched_setaffinity(0, here)
    return taken, 1000 * (time.process_time() - before) / count


def wait(attempt: Callable[[], object]) -> None:
    """Until it works."""
    for _ in range(600):
        try:
            attempt()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError


def measure(
    contenders: dict[str, tuple[int, psutil.Process]], predictor: Predictor, body: bytes, rounds: int, requests: int
) -> None:
    """A table row for each contender."""
    p50s: dict[str, list[float]] = {name: [] for name in (*contenders, IN_PROCESS)}
    cpus: dict[str, list[float]] = {name: [] for name in (*contenders, IN_PROCESS)}
    for _ in range(rounds):
        for name, (port, process) in contenders.items():
            ask(port, body, 20)
            before = cpu_ms(process)
            p50s[name].append(statistics.median(ask(port, body, requests)))
            cpus[name].append((cpu_ms(process) - before) / requests)
        taken, cpu = alone(predictor, body, requests)
        p50s[IN_PROCESS].append(statistics.median(taken))
        cpus[IN_PROCESS].append(cpu)
    print(f"{len(body)} bytes of JPEG, {rounds} rounds of {requests} requests, median of rounds\n")
    print("| | p50 ms | processor time, ms a request |\n|---|---|---|")
    for name in p50s:
        print(f"| {name} | {statistics.median(p50s[name]):.2f} | {statistics.median(cpus[name]):.2f} |")


if __name__ == "__main__":
    main()
