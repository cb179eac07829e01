"""Work that outlives its request: it ends at its next step, is named when it does not, and never holds up the end."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from foveal.cancellation import Cancellation, Cancelled, checkpoint, obeying
from foveal.errors import BadRequest
from foveal.inference.pipeline import Predictor
from foveal.service.application import Application
from foveal.service.errors import NotReady
from foveal.service.inference.memory import MemoryBudget
from foveal.service.inference.threads import Work, WorkThreads
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks
from tests.helpers.applications import run
from tests.helpers.packages import encoded, png
from tests.helpers.playground_zoo import write_zoo

RED = png((255, 0, 0))


def test_a_checkpoint_ends_what_nobody_wants_any_more() -> None:
    first, second = Cancellation(), Cancellation()
    checkpoint()
    with obeying(first, second):
        first.set()
        checkpoint()  # a batch of two, of which one is still wanted
        second.set()
        with pytest.raises(Cancelled):
            checkpoint()
    checkpoint()


@pytest.fixture(scope="module")
def tasks_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stub model for each task."""
    return write_zoo(tmp_path_factory.mktemp("tasks"))


def test_windows_are_not_computed_after_the_deadline(tasks_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`?tile=`: the thread stops at the next window, and is free for others."""
    runs: list[float] = []
    real = Predictor._run

    def slow(predictor: Predictor, batch: Any, options: Any) -> Any:
        runs.append(time.monotonic())
        time.sleep(0.05)
        return real(predictor, batch, options)

    image = encoded(Image.fromarray(np.zeros((1400, 1400, 3), np.uint8)), "PNG")

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        monkeypatch.setattr(Predictor, "_run", slow)
        answer = await client.post("/v1/segment?tile=128", content=image)
        assert answer.status_code == 504, answer.text
        ended = time.monotonic()
        async with asyncio.timeout(10):
            while application.threads.running():
                await asyncio.sleep(0.01)
        assert time.monotonic() - ended < 1, "at the next window, not after the last"
        assert 1 < len(runs) < 30
        assert application.memory.in_use == 0

    run(tasks_zoo, check, request_s=0.5)


def test_masks_are_not_drawn_for_nobody() -> None:
    boxes = np.array([[1, 1, 6, 6]], np.float32)
    masks = InstanceMasks(np.ones((1, 28, 28), np.float32))
    masked = Detections(boxes, np.array([0.9], np.float32), np.array([0]), ("a",), (9, 12), masks)
    done = Cancellation()
    done.set()
    with obeying(done):
        with pytest.raises(Cancelled):
            masked.overlay(np.zeros((9, 12, 3), np.uint8))
        with pytest.raises(Cancelled):
            masked.to_dict()


class Held:
    """A function that does not return until it may."""

    def __init__(self) -> None:
        self.go, self.began = threading.Event(), threading.Event()

    def __call__(self, *arguments: object, **options: object) -> Any:
        self.began.set()
        self.go.wait(30)
        raise BadRequest("held")


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.go.set()


def test_a_thread_that_does_not_return_turns_liveness_red_and_is_named(
    colour_zoo: Path, held: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        monkeypatch.setattr("foveal.service.inference.served_model.decode", held)
        headers = {"x-request-id": "bomb"}
        answer = await client.post("/v1/classify", content=RED, headers=headers)
        assert answer.status_code == 504
        application.check_alive()  # late, but not yet beyond the margin
        await asyncio.sleep(0.35)
        for _ in range(2):
            with pytest.raises(NotReady, match=r"1 threads are stuck, one for \d+ s in decode"):
                application.check_alive()
        assert application.memory.in_use > 0, "what the thread has taken is still taken"
        held.go.set()
        async with asyncio.timeout(5):
            while application.memory.in_use:
                await asyncio.sleep(0.01)
        application.check_alive()

    with caplog.at_level(logging.ERROR, "foveal.service"):
        run(colour_zoo, check, request_s=0.2, stuck_s=0.2)
    (line,) = [r for r in caplog.records if r.getMessage() == "thread stuck"]
    assert (line.fields["ids"], line.fields["stage"]) == (["bomb"], "decode")  # type: ignore[attr-defined]


def test_a_full_queue_is_no_stuck_thread(colour_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long work has waited: only the time in a thread counts."""
    real = Predictor.finish

    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        return real(*arguments)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        monkeypatch.setattr(Predictor, "finish", slow)
        answers = [asyncio.create_task(client.post("/v1/classify", content=RED)) for _ in range(40)]
        while not all(answer.done() for answer in answers):
            application.check_alive()
            await asyncio.sleep(0.02)
        assert {answer.result().status_code for answer in answers} <= {200, 504}

    run(colour_zoo, check, request_s=0.4, stuck_s=0.1, image_threads=1)


def test_work_gives_its_memory_back_once_its_thread_is_done() -> None:
    budget = MemoryBudget(1000)
    threads = WorkThreads(1, 60)
    started, go = threading.Event(), threading.Event()

    def task(work: Work) -> None:
        assert work.resize(400)
        started.set()
        go.wait(10)

    async def whole() -> None:
        work = Work("a", budget.lease())
        running = asyncio.create_task(threads.run(work, task, work))
        await asyncio.to_thread(started.wait, 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        work.end()
        assert (budget.in_use, work.cancellation.is_set) == (400, True)
        go.set()
        async with asyncio.timeout(5):
            while budget.in_use:
                await asyncio.sleep(0.005)

    asyncio.run(whole())
    threads.close()


STUCK = """
import asyncio, logging, os, signal, sys, threading, time
logging.basicConfig(format="%(message)s %(fields)s", stream=sys.stderr)
logging.getLogger("foveal").handlers = logging.getLogger().handlers
from foveal.service.inference.memory import MemoryBudget
from foveal.service.inference.threads import Work, WorkThreads
from foveal.service.shutdown import ending_within

async def main():
    threads = WorkThreads(1, 60)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(stop.set))
    with ending_within(1.0, lambda: [each.fields() for each in threads.running()]):
        work = Work("bomb", MemoryBudget(1).lease())
        asyncio.create_task(threads.run(work, time.sleep, 100))
        print("running", flush=True)
        await stop.wait()
        threads.close()

asyncio.run(main())
"""


def test_the_process_ends_within_its_grace_whatever_runs() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert 0.9 < time.monotonic() - sent < 4
    assert process.returncode == 1
    assert "abandoned at the end of the grace {'ids': ['bomb'], 'stage': 'decode'" in errors
