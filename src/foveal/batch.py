"""Many pictures -> entries, in input order: reading and decoding run ahead in threads while the session works.

Memory is bounded by the look-ahead, whatever the number of pictures.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from foveal.errors import FovealError
from foveal.formats import Entry
from foveal.options import Options
from foveal.predictor import Pipeline
from foveal.sources import Source
from foveal.tasks import Prepared

AHEAD = 8  # pictures a thread that may be decoded before the session wants them


@dataclass(frozen=True)
class _Job:
    name: str
    prepared: Prepared | FovealError


def run(
    pipeline: Pipeline, sources: Iterable[Source], *, options: Options, batch_size: int, threads: int
) -> Iterator[Entry]:
    """Predict for every source; one that cannot be read or decoded gives an error entry, never a stop.

    Args:
        pipeline: the model.
        sources: what to read, in the order of the results.
        options: resolved ones.
        batch_size: how many pictures the session takes at a time.
        threads: how many pictures are read and decoded at the same time.
    """

    def prepare(source: Source) -> _Job:
        try:
            return _Job(source.name, pipeline.prepare(source.read(), options=options))
        except FovealError as error:
            return _Job(source.name, error)

    # Decoding far ahead keeps the session from waiting (and ONNX Runtime's threads from spinning meanwhile); canvases
    # are small. With `tile` a whole large picture waits, so fewer do.
    ahead = threads + 2 * batch_size if options.tile else AHEAD * threads + 2 * batch_size
    queue: deque[Future[_Job]] = deque()
    pending = iter(sources)
    with ThreadPoolExecutor(threads, "decode") as pool:
        try:
            queue.extend(pool.submit(prepare, source) for source in islice(pending, ahead))
            while queue:
                jobs = [queue.popleft().result() for _ in range(min(batch_size, len(queue)))]
                # By the handful: a sleeping thread woken for every picture takes the interpreter from the session.
                if len(queue) <= ahead // 2:
                    queue.extend(pool.submit(prepare, source) for source in islice(pending, ahead - len(queue)))
                yield from _predict(pipeline, jobs, options)
        finally:
            pool.shutdown(cancel_futures=True)


def _predict(pipeline: Pipeline, jobs: Sequence[_Job], options: Options) -> Iterator[Entry]:
    ready = [job.prepared for job in jobs if isinstance(job.prepared, Prepared)]
    raws = iter(pipeline.infer(ready, [options] * len(ready)) if ready else [])
    for job in jobs:
        if isinstance(job.prepared, FovealError):
            yield Entry(job.name, job.prepared)
        else:
            result = pipeline.finish(next(raws), job.prepared, options)
            yield Entry(job.name, result, job.prepared.exif_orientation)
