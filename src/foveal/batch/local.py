"""The local engine: many images -> entries, in input order, on the threads of this machine.

The session is shared; its runs go side by side, each on its share of the cores. That beats one run on all of them: no
core waits for another inside an operator, and reading overlaps computing by itself (docs/BENCHMARKS.md). Bits are the
same, since ONNX Runtime's threads never split a sum (tested). Memory is bounded by the look-ahead, whatever the number
of images.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from foveal.batch.sources import Source
from foveal.errors import FovealError
from foveal.formats import Entry
from foveal.inference.pipeline import Pipeline
from foveal.options import Options
from foveal.tasks import Prepared

AHEAD = 4  # steps a thread that may be done, or under way, before the first of them is wanted
MOST_THREADS = 8  # by default: each holds the activations of a network


def processors() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Images to work on at the same time on this machine."""
    return min(processors(), MOST_THREADS)


def run(
    pipeline: Pipeline, sources: Sequence[Source], *, options: Options, batch_size: int, threads: int
) -> Iterator[Entry]:
    """Predict for every source; one that cannot be read or decoded gives an error entry, never a stop.

    Args:
        pipeline: the model.
        sources: what to read, in the order of the results.
        options: resolved ones.
        batch_size: how many images a run of the session takes.
        threads: how many runs go side by side.
    """

    def step(start: int) -> list[Entry]:
        return _predict(pipeline, sources[start : start + batch_size], options)

    starts = iter(range(0, len(sources), batch_size))
    with ThreadPoolExecutor(threads, "predict") as pool:
        try:
            steps: deque[Future[list[Entry]]] = deque(pool.submit(step, i) for i in islice(starts, AHEAD * threads))
            while steps:
                entries = steps.popleft().result()
                steps.extend(pool.submit(step, i) for i in islice(starts, 1))
                yield from entries
        finally:
            pool.shutdown(cancel_futures=True)


def _predict(pipeline: Pipeline, sources: Sequence[Source], options: Options) -> list[Entry]:
    jobs = [_prepared(pipeline, source, options) for source in sources]
    ready = [job for job in jobs if isinstance(job, Prepared)]
    raws = iter(pipeline.infer(ready, [options] * len(ready)) if ready else [])
    entries = []
    for source, job in zip(sources, jobs, strict=True):
        if isinstance(job, FovealError):
            entries.append(Entry(source.name, job))
        else:
            entries.append(Entry(source.name, pipeline.finish(next(raws), job, options), job.exif_orientation))
    return entries


def _prepared(pipeline: Pipeline, source: Source, options: Options) -> Prepared | FovealError:
    try:
        return pipeline.prepare(source.read(), options=options)
    except FovealError as error:
        return error
