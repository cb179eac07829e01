"""A list of files -> entries, in input order: reading and decoding run ahead in threads while the session works.

Memory is bounded by the look-ahead, whatever the number of files.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob
from itertools import islice
from pathlib import Path

from foveal.errors import BadImage, BadRequest, FovealError
from foveal.formats import Entry
from foveal.image import EXTENSIONS
from foveal.options import Options
from foveal.predictor import Predictor
from foveal.tasks import Prepared


def expand(arguments: Sequence[str]) -> list[str]:
    """Files, folders (searched in depth for image extensions) and globs -> file names, in a stable order.

    Raises:
        BadRequest: an argument matches nothing.
    """
    names: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
        elif path.exists():
            found = [argument]
        else:
            found = sorted(name for name in glob(argument, recursive=True) if Path(name).is_file())
        if not found:
            raise BadRequest(f"{argument}: expected a file, a folder with images or a glob that matches, found nothing")
        names += found
    return names


@dataclass(frozen=True)
class _Job:
    name: str
    prepared: Prepared | FovealError


def run(
    predictor: Predictor, names: Iterable[str], *, options: Options, batch_size: int, threads: int
) -> Iterator[Entry]:
    """Predict for every file; a file that cannot be read or decoded gives an error entry, never a stop.

    Args:
        predictor: the model.
        names: file names; also the entries' names.
        options: resolved ones.
        batch_size: how many pictures the session takes at a time.
        threads: how many files are read and decoded at the same time.
    """

    def prepare(name: str) -> _Job:
        try:
            return _Job(name, predictor.prepare(_read(name)))
        except FovealError as error:
            return _Job(name, error)

    queue: deque[Future[_Job]] = deque()
    pending = iter(names)
    with ThreadPoolExecutor(threads, "decode") as pool:
        try:
            queue.extend(pool.submit(prepare, name) for name in islice(pending, threads + batch_size))
            while queue:
                jobs = [queue.popleft().result() for _ in range(min(batch_size, len(queue)))]
                queue.extend(pool.submit(prepare, name) for name in islice(pending, len(jobs)))
                yield from _predict(predictor, jobs, options)
        finally:
            pool.shutdown(cancel_futures=True)


def _predict(predictor: Predictor, jobs: Sequence[_Job], options: Options) -> Iterator[Entry]:
    ready = [job.prepared for job in jobs if isinstance(job.prepared, Prepared)]
    raws = iter(predictor.infer(ready, [options] * len(ready)) if ready else [])
    for job in jobs:
        if isinstance(job.prepared, FovealError):
            yield Entry(job.name, job.prepared)
        else:
            result = predictor.finish(next(raws), job.prepared, options)
            yield Entry(job.name, result, job.prepared.exif_orientation)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise BadImage(f"expected a readable file: {error.strerror}") from None
