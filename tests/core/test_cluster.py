"""The engine `ray` on a real cluster of two nodes, here: the local engine's bytes, whoever dies on the way."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import psutil
import pytest

from foveal.batch import cluster
from foveal.batch.image_files import ImageFiles
from foveal.batch.inputs import expand
from foveal.batch.job import Job, Piece
from foveal.batch.output import to_file
from foveal.batch.sources import Source
from foveal.errors import BadOutput, BadRequest
from foveal.options import Options
from foveal.packages.package import ModelPackage
from tests.helpers.commandline import predict_command as command
from tests.helpers.packages import write_colours

IMAGES = 400  # more than six parts
PATIENCE_S = 120  # a busy machine is no fault
Node = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path, since Ray makes sockets below it; the nodes work there, not where the tests run."""
    path = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        # else a Ray of one's own leaves a token in the user's home, which the next `ray start --head` asks for
        patch.setenv("RAY_AUTH_MODE", "disabled")
        yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Two nodes of one processor each, as `ray start` makes them."""
    port = free_port()
    head = start(folder, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
    try:
        second = start(folder, f"--address=127.0.0.1:{port}")
        try:
            yield f"127.0.0.1:{port}"
        finally:
            stop(second)
    finally:
        stop(head)


def start(folder: Path, *words: str) -> Node:
    """A node in a process group of its own; all ports that two nodes on one machine would share are free ones."""
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--num-cpus=1"]
    ray += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"]
    ray += ["--object-store-memory=80000000", *words]
    environment = {**os.environ, "RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
    log = folder / f"log-{free_port()}"
    with log.open("wb") as out:
        node = subprocess.Popen(ray, cwd=folder, stdout=out, stderr=out, env=environment, start_new_session=True)
    wait(lambda: node.poll() is not None or b"Ray runtime started" in log.read_bytes(), "a Ray node")
    assert node.poll() is None, log.read_text()[-3000:]
    return node


def stop(node: Node) -> None:
    for process in family(node):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    node.kill()
    node.wait()


def family(node: Node) -> list[psutil.Process]:
    return psutil.Process(node.pid).children(recursive=True) if node.poll() is None else []


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)


def workers() -> list[psutil.Process]:
    """Actors of ours that are at work on this machine."""
    return [p for p in psutil.process_iter() if p.name().startswith("ray::Worker")]


@pytest.fixture(scope="module")
def sources(folder: Path) -> list[Source]:
    """ImageFiles, one of them broken; their names are relative to where the tests run."""
    images = folder / "images"
    images.mkdir()
    for i in range(IMAGES):
        cv2.imwrite(str(images / f"{i:03}.png"), np.full((9, 8, 3), i % 251, np.uint8))
    (images / "100.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return expand([os.path.relpath(images)])


@pytest.fixture(scope="module")
def package(folder: Path) -> ModelPackage:
    """A classifier slow enough that a kill hits it at work."""
    return ModelPackage.open(write_colours(folder / "zoo", input_hw=(256, 256), cost=20))


def job_of(package: ModelPackage, **fields: object) -> Job:
    return Job(package, Options().resolved(package.manifest.pipeline.defaults), **fields)


def local(job: Job, sources: Sequence[Source]) -> list[Piece]:
    return list(job.pieces(job.predictor(), sources))


def joined(pieces: Sequence[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_no_byte(
    address: str, package: ModelPackage, sources: list[Source], folder: Path
) -> None:
    job = job_of(package, images=ImageFiles(overlay=folder / "drawn"))
    pieces = []
    for piece in cluster.run(job, sources, address=address):
        pieces.append(piece)
        if len(pieces) == 1:
            victims = workers()
            assert victims
            victims[0].kill()
    here = local(job, sources)
    assert joined(pieces) == joined(here)
    assert sum(piece.tally.images for piece in pieces) == IMAGES
    assert [piece.tally.first_failure for piece in pieces if piece.tally.failed] == [
        piece.tally.first_failure for piece in here if piece.tally.failed
    ]
    assert len(list((folder / "drawn").rglob("*.jpg"))) == IMAGES - 1


@pytest.mark.slow
def test_a_machine_lost_in_the_middle_changes_no_byte(
    address: str, package: ModelPackage, sources: list[Source], folder: Path
) -> None:
    job, third, pieces = job_of(package, format="csv"), start(folder, f"--address={address}"), []
    try:
        for piece in cluster.run(job, sources, address=address, workers=3):
            pieces.append(piece)
            if len(pieces) == 1:
                wait(lambda: any("ray::Worker" in p.name() for p in family(third)), "work on the third node")
                stop(third)
        assert joined(pieces) == joined(local(job, sources))
    finally:
        stop(third)


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_either_engine_goes_on_where_the_other_was_killed(
    address: str, package: ModelPackage, sources: list[Source], folder: Path, format_: str
) -> None:
    job = job_of(package, format=format_)
    engines = [lambda left: cluster.run(job, left, address=address), lambda left: job.pieces(job.predictor(), left)]
    for number, (first, second) in enumerate([engines, engines[::-1]]):
        out = folder / f"{format_}-{number}"

        def killed(left: Sequence[Source], first: Callable[..., Iterator[Piece]] = first) -> Iterator[Piece]:
            done = 0
            for piece in first(left):
                yield piece
                done += piece.tally.images
                if done > 130:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            to_file(job, sources, killed, out, resume=False)
        tally, skipped = to_file(job, sources, second, out, resume=True)
        assert skipped > 130
        assert (tally.images, tally.failed) == (IMAGES, 1)
        whole = folder / "whole"
        to_file(job, sources, engines[1], whole, resume=False)
        assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_the_command_by_address_and_with_a_ray_of_its_own(address: str, sources: list[Source], folder: Path) -> None:
    write_colours(folder / "fast")
    outs = [folder / name for name in ("here.csv", "there.csv", "own.csv")]
    engines = [[], ["--engine", "ray", "--ray-address", address], ["--engine", "ray", "--ray-address", "local"]]
    for out, engine in zip(outs, engines, strict=True):
        words = command(folder / "fast", out, Path(os.path.relpath(folder / "images")), "--format", "csv", *engine)
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        assert f"1 of {IMAGES} images failed" in done.stderr
    assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()


@pytest.mark.slow
def test_faults_come_back_as_what_they_are(
    address: str, package: ModelPackage, sources: list[Source], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("no folder")
    with pytest.raises(BadOutput, match="expected a place to write to"):
        list(cluster.run(job_of(package, images=ImageFiles(overlay=folder / "file")), sources, address=address))
    pieces = list(cluster.run(job_of(package, fail_fast=True), sources, address=address))
    assert joined(pieces) == joined(local(job_of(package, fail_fast=True), sources))
    assert sum(piece.tally.images for piece in pieces) == 101

    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(cluster, "TRIES", 2)
    poisoned = [*sources[:70], Poison("poison.png", "poison.png")]
    with pytest.raises(cluster.WorkersDied, match=r"images/064\.png … poison\.png"):
        list(cluster.run(job_of(package), poisoned, address=address))


class Poison(Source):
    """An image that kills who reads it."""

    def read(self) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""


def test_no_cluster_is_said_at_once(package: ModelPackage, sources: list[Source]) -> None:
    with pytest.raises(BadRequest, match=r"expected a Ray cluster at .127\.0\.0\.1:9."):
        next(cluster.run(job_of(package), sources, address="127.0.0.1:9"))


class StandIn:
    """In place of Ray, in this process: work is done in any order, and its worker may die over it."""

    class exceptions:  # noqa: N801 # as Ray calls it
        RayActorError = type("RayActorError", (Exception,), {})
        ObjectLostError = type("ObjectLostError", (Exception,), {})
        RayTaskError = type("RayTaskError", (Exception,), {})

    def __init__(self, *, seed: int, deaths: float) -> None:
        self._rng, self._deaths = random.Random(seed), deaths
        self.made = 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0}

    def put(self, value: object) -> object:
        return value

    def remote(self, actor: type) -> SimpleNamespace:
        def make(*arguments: object) -> SimpleNamespace:
            self.made += 1
            held = actor(*arguments)
            calls = {name: SimpleNamespace(remote=partial(partial, getattr(held, name))) for name in ("start", "part")}
            return SimpleNamespace(**calls)

        return SimpleNamespace(options=lambda **needs: SimpleNamespace(remote=make))

    def wait(self, calls: list[partial]) -> tuple[list[partial], list[partial]]:
        first = self._rng.choice(calls)
        return [first], [call for call in calls if call is not first]

    def get(self, call: partial) -> object:
        if self._rng.random() < self._deaths:
            raise self._rng.choice([self.exceptions.RayActorError, self.exceptions.ObjectLostError])("it died")
        return call()


@pytest.fixture
def quick(tmp_path: Path) -> Job:
    return job_of(ModelPackage.open(write_colours(tmp_path / "zoo")))


@pytest.mark.parametrize("seed", range(8))
def test_any_order_and_any_deaths_give_the_same_bytes(
    quick: Job, sources: list[Source], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = StandIn(seed=seed, deaths=0.2)
    monkeypatch.setattr(cluster, "_connected", lambda address: contextlib.nullcontext(ray))
    monkeypatch.setattr(cluster, "PART", 8)
    monkeypatch.setattr(cluster, "TRIES", 100)
    some = sources[:203]
    pieces = list(cluster.run(quick, some))
    assert joined(pieces) == joined(local(quick, some))
    assert [piece.tally.images for piece in pieces] == [8] * 25 + [3]
    assert ray.made > 3


def test_what_kills_every_worker_is_named(quick: Job, sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    ray = StandIn(seed=0, deaths=1.0)
    monkeypatch.setattr(cluster, "_connected", lambda address: contextlib.nullcontext(ray))
    with pytest.raises(cluster.WorkersDied, match="survive its start, got 4 that died; the last: it died"):
        list(cluster.run(quick, sources))
