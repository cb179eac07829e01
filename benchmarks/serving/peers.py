"""Comparison of Foveal with other servers of the same graph: same photos, same load generator, one run.

Each contender has an environment of its own, made by uv below --environments, and one core; the load generator has
another. Rounds alternate, each with a fresh start of the server, so that a busy machine is busy for all of them.
Processor time counts every process of a contender.

    python benchmarks/serving/peers.py PHOTOS --package zoo/blood-cells/1 --environments /tmp/peers --out results.json
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from peers_contenders import CONTENDERS, CONTENT_TYPES, ROOT, Contender
from peers_report import report
from PIL import Image

from foveal.formats import Entry, entry_bytes
from foveal.imaging.image_files import SUFFIXES
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.service.loadtest.generator import HttpTarget, Level, Reply, closed_loop

HERE = Path(__file__).parent
PORT = 39_211
IN_PROCESS = "pipeline in process"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--package", type=Path, default=ROOT / "zoo/blood-cells/1")
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "foveal-peers")
    parser.add_argument("--only", help="contenders, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--out", type=Path, default=Path("peers.json"))
    arguments = parser.parse_args()
    chosen = {n: c for n, c in CONTENDERS.items() if not arguments.only or n in arguments.only.split(",")}
    for contender in chosen.values():
        install(arguments.environments, contender)
    photos = [path for path in sorted(arguments.photos.rglob("*")) if path.suffix.lower() in SUFFIXES][:20]
    loads = {"photos, 1 connection": (photographs(photos), 1), "photos, 8 connections": (photographs(photos), 8)}
    loads["4 megapixels, 8 connections"] = (photographs(photos[:8], (2304, 1728)), 8)
    rows = measure(chosen, loads, arguments)
    arguments.out.write_text(json.dumps(rows, indent=1))
    print(report(rows))


def install(environments: Path, contender: Contender) -> None:
    """Install a contender's packages once; Foveal itself every time."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert uv, "expected uv on the PATH"
    folder = environments / contender.environment
    if not folder.exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    command = [uv, "pip", "install", "-q", "-p", str(folder / "bin/python"), "--reinstall-package", "foveal"]
    subprocess.run([*command, *contender.packages], check=True)


def photographs(paths: Sequence[Path], size: tuple[int, int] | None = None) -> list[bytes]:
    """JPEGs as they are, or scaled up to (width, height), with the noise of a sensor, at quality 90."""
    if size is None:
        return [path.read_bytes() for path in paths]
    images = []
    for number, path in enumerate(paths):
        large = np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.LANCZOS), np.int16)
        noise = np.random.default_rng(number).normal(0, 3, large.shape)
        file = io.BytesIO()
        Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        images.append(file.getvalue())
    return images


Loads = dict[str, tuple[list[bytes], int]]


def measure(chosen: dict[str, Contender], loads: Loads, arguments: argparse.Namespace) -> list[dict]:
    """One row for each round, contender and load. The client takes the first core, the servers the last."""
    cores = sorted(os.sched_getaffinity(0))
    predictor = Predictor(ModelPackage.open(arguments.package), SessionSettings(threads=1))
    wanted = sum(len(predictor(image).scores) for image in loads["photos, 1 connection"][0])
    rows: list[dict] = []
    for turn in range(arguments.rounds):
        os.sched_setaffinity(0, {cores[-1]})
        for load, (images, _) in loads.items():
            rows.append({"round": turn, "contender": IN_PROCESS, "load": load, **alone(predictor, images, arguments)})
        os.sched_setaffinity(0, {cores[0]})
        for name, contender in chosen.items():
            try:
                found = asyncio.run(one(contender, loads, arguments, cores[-1], wanted))
            except Exception as error:  # one that does not start is reported, the others are measured
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            rows += [{"round": turn, "contender": name, **row} for row in found]
            print(f"round {turn + 1}: {name}", file=sys.stderr)
    return rows


def alone(predictor: Predictor, images: Sequence[bytes], arguments: argparse.Namespace) -> dict:
    """Bytes to the bytes of an answer in this process, one after the other."""
    options = Options().resolved(predictor.spec.defaults)
    taken, before, end = [], time.process_time(), time.perf_counter() + arguments.seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        result = predictor(images[len(taken) % len(images)])
        entry_bytes(Entry(None, result), predictor.task.name, options)
        taken.append(time.perf_counter() - started)
    cpu_ms = 1000 * (time.process_time() - before) / len(taken)
    p50, p99 = (float(1000 * np.percentile(taken, q)) for q in (50, 99))
    return {"throughput_per_s": len(taken) / sum(taken), "p50_ms": p50, "p99_ms": p99, "cpu_ms": cpu_ms, "failed": 0}


async def one(contender: Contender, loads: Loads, arguments: argparse.Namespace, core: int, wanted: int) -> list[dict]:
    """Start a contender, measure it under every load, stop it."""
    headers = {"content-type": CONTENT_TYPES[contender.body]}
    with started(contender, arguments, core) as process:
        async with HttpTarget(f"http://127.0.0.1:{PORT}{contender.path}", headers) as target:
            first = [contender.body(image) for image in loads["photos, 1 connection"][0]]
            await ready(target, first[0], process)
            if contender.finds:
                await check(contender, first, headers, wanted)
            return [
                {"load": name, **await under(target, process, [contender.body(p) for p in images], width, arguments)}
                for name, (images, width) in loads.items()
            ]


@contextlib.contextmanager
def started(contender: Contender, arguments: argparse.Namespace, core: int) -> Iterator[psutil.Process]:
    """A running server on its core; at exit it and its child processes are stopped."""
    work = Path(tempfile.mkdtemp())
    package = arguments.package.absolute()
    write_mlserver_settings(work, package)
    (work / "zoo" / package.parent.name).mkdir(parents=True)
    shutil.copytree(package, work / "zoo" / package.parent.name / package.name)
    places = {
        "bin": str(arguments.environments.absolute() / contender.environment / "bin"), "port": str(PORT),
        "package": str(package), "zoo": str(work / "zoo"), "here": str(HERE / "contenders"), "work": str(work),
    }  # fmt: skip
    variables = {
        "PACKAGE": str(package), "PYTHONPATH": str(HERE / "contenders"), "OMP_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(work / "bentoml"), "RAY_USAGE_STATS_ENABLED": "0",
        "FOVEAL_ORT_THREADS": "1", "FOVEAL_IMAGE_THREADS": "1",
    }  # fmt: skip
    command = ["taskset", "-c", str(core), *(part.format(**places) for part in contender.command)]
    with (work / "log").open("wb") as log:
        child = subprocess.Popen(
            command, env=os.environ | variables, stdout=log, stderr=log, start_new_session=True, cwd=work
        )
    process = psutil.Process(child.pid)
    try:
        yield process
    except Exception:
        print((work / "log").read_text()[-2000:], file=sys.stderr)
        raise
    finally:
        stop(process)
        child.wait()
        shutil.rmtree(work, ignore_errors=True)


def write_mlserver_settings(work: Path, package: Path) -> None:
    ports = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2}
    (work / "settings.json").write_text(json.dumps(ports | {"host": "127.0.0.1", "parallel_workers": 0}))
    model = {"name": "detector", "implementation": "mlserver_obvious.Runtime", "parameters": {"uri": str(package)}}
    (work / "model-settings.json").write_text(json.dumps(model))


def stop(process: psutil.Process) -> None:
    """SIGTERM, then SIGKILL for processes that are left after some seconds."""
    tree = [process, *process.children(recursive=True)] if process.is_running() else []
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(tree, timeout=20)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


async def ready(target: HttpTarget, body: bytes, process: psutil.Process) -> None:
    """Wait for the first response with status 200."""
    deadline = time.monotonic() + 400
    reply = Reply(0)
    while reply.status != 200:
        assert process.is_running(), "the server ended"
        assert process.status() != psutil.STATUS_ZOMBIE, "the server ended"
        assert time.monotonic() < deadline, reply
        await asyncio.sleep(0.2)
        reply = await target.send(body)


async def check(contender: Contender, bodies: Sequence[bytes], headers: dict[str, str], wanted: int) -> None:
    """All contenders find about the same objects: a different resize moves only a few scores over the threshold."""
    import aiohttp

    found = 0
    async with aiohttp.ClientSession(headers=headers) as session:
        for body in bodies:
            async with session.post(f"http://127.0.0.1:{PORT}{contender.path}", data=body) as response:
                found += (await response.text()).count("score")
    assert abs(found - wanted) <= 0.1 * wanted, f"expected about {wanted} detections, got {found}"


async def under(
    target: HttpTarget, process: psutil.Process, bodies: Sequence[bytes], width: int, arguments: argparse.Namespace
) -> dict:
    """One load, after a warm-up."""
    await closed_loop(target, bodies, connections=width, seconds=1)
    before = cpu_s(process)
    level: Level = await closed_loop(target, bodies, connections=width, seconds=arguments.seconds)
    return {
        "throughput_per_s": level.throughput_per_s, "p50_ms": level.p50_ms, "p99_ms": level.p99_ms,
        "cpu_ms": 1000 * (cpu_s(process) - before) / level.requests, "failed": level.failed,
    }  # fmt: skip


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process and all below it."""
    return sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)])


if __name__ == "__main__":
    main()
