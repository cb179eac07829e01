"""The engine `ray`: a job's images distributed over the processors of a Ray cluster (https://ray.io).

Images go out in parts of PART; a worker is a Ray actor that holds the job's session and gives back the bytes of a
part. Parts are handed on in input order, whichever is done first, and never more than AHEAD a worker are kept, so the
output is the local engine's to the byte, its journal works as there, and memory stays bounded.

A worker that dies (its process, its machine) loses its part: the part goes to another worker, and a new one is asked
for, on whatever machine has room. Actors and 60 lines of scheduling, not Ray Data: its checkpoints (beta in 2.60) are
tables in a file system that all machines share, while here one file grows in input order, either engine may resume it,
and a worker needs neither pandas nor a shared place to write.
"""

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from foveal import __version__
from foveal.batch.job import Job, Piece
from foveal.batch.sources import Source
from foveal.batch.tally import Tally
from foveal.errors import BadRequest, FovealError
from foveal.inference.pipeline import Predictor

PART = 64  # images: what the death of a worker costs, and what a kill of the driver may cost for each worker
AHEAD = 4  # parts a worker that may wait for an earlier one
TRIES = 4  # how often a part may lose its worker before the images are to blame
START = -1  # in place of a part's number: the worker is starting


class WorkersDied(FovealError):
    """A part of the images, or the start, killed one worker after the other."""

    title = "Ray workers died"


class Worker:
    """The actor. Its session is opened by its first call, so that faults come back as what they are."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._predictor: Predictor | None = None

    def start(self) -> str:
        """Open the session; returns the version of Foveal on this machine."""
        self._predictor = self._job.predictor()
        return __version__

    def part(self, sources: Sequence[Source]) -> Piece:
        """All bytes of some images."""
        assert self._predictor is not None, "start comes first"
        pieces = list(self._job.pieces(self._predictor, sources))
        return Piece(b"".join(piece.data for piece in pieces), sum((piece.tally for piece in pieces), Tally()))


def run(job: Job, sources: Sequence[Source], *, address: str = "auto", workers: int | None = None) -> Iterator[Piece]:
    """The pieces of a job, in input order.

    Args:
        job: the job; its paths must mean the same on every machine of the cluster.
        sources: the images.
        address: "auto": the cluster of this machine or of RAY_ADDRESS; "local": a Ray of its own, for this job only;
            else HOST:PORT.
        workers: how many; default as many as the cluster has processors (GPUs for the providers that need one).

    Raises:
        BadRequest: no such cluster, or it has no room for a worker. WorkersDied: see there.
    """
    if not sources:
        return
    with _connected(address) as ray:
        resource = "GPU" if job.settings.provider in ("cuda", "tensorrt") else "CPU"
        room = int(ray.cluster_resources().get(resource, 0))
        if room < 1:
            raise BadRequest(f"--engine ray: expected a cluster with at least 1 {resource}, got none")
        # a worker has one core; the second thread reads while the first computes
        job = replace(job, settings=replace(job.settings, threads=1), threads=2, images=job.images.absolute())
        yield from _Pool(ray, job, sources, resource).pieces(workers or room)


@dataclass
class _Pool:
    """The workers, and who has which part."""

    ray: Any
    job: Job
    sources: Sequence[Source]
    resource: str

    def __post_init__(self) -> None:
        needs = {"num_cpus": 1} if self.resource == "CPU" else {"num_cpus": 1, "num_gpus": 1}
        self._actor = self.ray.remote(Worker).options(**needs)
        self._job = self.ray.put(self.job)  # once, not once a worker
        self._busy: dict[Any, tuple[Any, int]] = {}  # what a worker will give -> worker, number of the part or START
        self._idle: list[Any] = []
        self._lost: Counter[int] = Counter()

    def pieces(self, workers: int) -> Iterator[Piece]:
        """Everything, in order; stops behind a piece with a failure when the job is to fail fast."""
        parts = -(-len(self.sources) // PART)
        todo = deque(range(parts))
        done: dict[int, Piece] = {}
        given = 0
        for _ in range(min(workers, parts)):
            self._hire()
        while given < parts:
            while self._idle and todo and todo[0] < given + AHEAD * workers:
                number, worker = todo.popleft(), self._idle.pop()
                self._busy[worker.part.remote(self._part(number))] = worker, number
            for number, piece in self._finished():
                if piece is None:
                    todo.appendleft(number)
                else:
                    done[number] = piece
            while given in done:
                piece = done.pop(given)
                given += 1
                yield piece
                if self.job.fail_fast and piece.tally.failed:
                    return

    def _finished(self) -> Iterator[tuple[int, Piece | None]]:
        """Wait for the next worker; its part and piece, None when it died over it; nothing of one that started."""
        ready, _ = self.ray.wait(list(self._busy))
        worker, number = self._busy.pop(ready[0])
        try:
            outcome = self.ray.get(ready[0])
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError) as death:
            self._mourn(number, str(death))
            if number != START:
                yield number, None
            return
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, FovealError) else error from None
        self._lost.pop(number, None)
        self._idle.append(worker)
        if number != START:
            yield number, outcome
        elif outcome != __version__:
            raise BadRequest(f"--engine ray: expected Foveal {__version__} on every machine, got {outcome}")

    def _part(self, number: int) -> list[Source]:
        """Workers have a working folder of their own; names stay as they were given."""
        sources = self.sources[number * PART : (number + 1) * PART]
        return [replace(source, path=os.path.abspath(source.path)) for source in sources]

    def _hire(self) -> None:
        worker = self._actor.remote(self._job)
        self._busy[worker.start.remote()] = worker, START

    def _mourn(self, number: int, reason: str) -> None:
        self._lost[number] += 1
        if self._lost[number] == TRIES:
            names = [source.name for source in self._part(number)] if number != START else ["its start"]
            over = " … ".join(dict.fromkeys((names[0], names[-1])))
            raise WorkersDied(f"expected a worker to survive {over}, got {TRIES} that died; the last: {reason}")
        self._hire()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of ours calls out
    try:
        import ray
    except ModuleNotFoundError:
        raise FovealError("--engine ray needs 'ray': pip install 'foveal[ray]'") from None
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # ray raises ConnectionError, ValueError and, when a node does not start, bare Exception
        hint = "start one (`ray start --head`), name one by --ray-address, or use --ray-address local"
        raise BadRequest(f"--engine ray: expected a Ray cluster at {address!r}: {error}; {hint}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ask whether anyone is there; ray.init would try for a minute."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()
