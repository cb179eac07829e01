"""Capacity of a package in this process (`trials`) and the settings recommended for a service (`recommended`)."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from foveal.inference.session import Interrupt
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.service.inference.memory import MemoryBudget
from foveal.service.inference.served_model import JSON, ServedModel, Upload
from foveal.service.inference.threads import Work, WorkThreads
from foveal.service.loadtest.generator import Level, Reply, closed_loop
from foveal.service.observability.metrics import Metrics
from foveal.service.settings import Settings

GAIN = 1.05  # least speed-up for which a setting is recommended over a simpler one


class PackageTarget:
    """A package in this process, run by the service's code without HTTP and without limits."""

    def __init__(self, served: ServedModel) -> None:
        self._served = served
        self._memory = MemoryBudget()
        self._options = Options().resolved(served.manifest.pipeline.defaults)

    async def send(self, image: bytes) -> Reply:
        """Predict with the package's own defaults."""
        lease = self._memory.lease()
        prediction = await self._served.predict(Upload(None, image), self._options, JSON, Work("bench", lease))
        lease.release()
        stages_ms = {stage: 1000 * seconds for stage, seconds in prediction.stages.seconds.items()}
        if prediction.error is not None:
            return Reply(prediction.error.status, stages_ms, detail=str(prediction.error))
        return Reply(200, stages_ms)


@asynccontextmanager
async def in_process(package: ModelPackage, settings: Settings) -> AsyncIterator[PackageTarget]:
    """Load a package with the given settings.

    Raises:
        GoldenMismatch, ProviderUnavailable.
    """
    threads = WorkThreads(settings.image_thread_count, settings.request_s)
    arguments = (package, settings, threads, Metrics(), None, Interrupt())
    try:
        yield PackageTarget(await asyncio.to_thread(ServedModel, *arguments))
    finally:
        threads.close()


@dataclass(frozen=True)
class Trial:
    """Measurement of one combination of settings at the knee's number of connections."""

    ort_threads: int
    batch_size: int
    throughput_per_s: float
    p99_ms: float
    cores_used: float  # CPU seconds a second


async def trials(
    package: ModelPackage,
    images: Sequence[bytes],
    settings: Settings,
    *,
    connections: int,
    seconds: float,
    report: Callable[[Trial], object],
) -> list[Trial]:
    """Measure threads in an operator: 1, 2, 4 … all cores, with one image in a run.

    On a provider other than the CPU (where one image a run keeps results bit-equal), then images in a run: 2, 4 … the
    package's maximum, with the best number of threads. `report` is called with each trial as it ends.
    """
    done: list[Trial] = []

    async def attempt(ort_threads: int, batch_size: int) -> None:
        own = settings.model_copy(update={"ort_threads": ort_threads, "batch_size": batch_size})
        async with in_process(package, own) as target:
            await closed_loop(target, images, connections=connections, seconds=seconds / 5)  # warm-up
            before = time.process_time(), time.perf_counter()
            level = await closed_loop(target, images, connections=connections, seconds=seconds)
            used = (time.process_time() - before[0]) / (time.perf_counter() - before[1])
        done.append(Trial(ort_threads, batch_size, level.throughput_per_s, level.p99_ms, used))
        report(done[-1])

    for threads in _powers_of_two(cores()):
        await attempt(threads, 1)
    if settings.provider != "cpu":
        best = chosen(done)
        for size in _powers_of_two(package.manifest.pipeline.max_batch)[1:]:
            await attempt(best.ort_threads, size)
    return done


def chosen(done: Sequence[Trial]) -> Trial:
    """The fastest trial; an earlier one, with simpler settings, unless a later one gains enough."""
    best = done[0]
    for trial in done[1:]:
        if trial.throughput_per_s >= GAIN * best.throughput_per_s:
            best = trial
    return best


def recommended(knee: Level, done: Sequence[Trial]) -> dict[str, int]:
    """Settings for a service on this machine, which should have been idle during the measurements.

    The queue holds a quarter more images than the knee has connections: under overload, in which rejections use part of
    the CPU, an admitted request then takes less than twice as long as at the knee (measured: docs/BENCHMARKS.md).
    """
    found = {"FOVEAL_MAX_WAITING_IMAGES": queue_length(knee)}
    if done:
        best = chosen(done)
        # more than one process pays only where one cannot use all cores (Python's global lock)
        workers = min(cores(), max(1, int(cores() / best.cores_used)))
        found |= {"FOVEAL_WORKERS": workers, "FOVEAL_ORT_THREADS": best.ort_threads}
        found |= {"FOVEAL_BATCH_SIZE": best.batch_size}
    return found


def queue_length(knee: Level) -> int:
    """Recommended `max_waiting_images`."""
    connections = int(knee.load)
    return connections + connections // 4


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _powers_of_two(most: int) -> list[int]:
    """1, 2, 4 … and `most` itself."""
    return sorted({2**i for i in range(most.bit_length())} | {most})
