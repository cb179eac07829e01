"""`foveal predict` against the raw pipeline and against one image at a time; its memory at 1,000 and 10,000 images.

    python benchmarks/batch.py speed PACKAGE PHOTOS [--count 1000] [--rounds 3] [--slices 10]
    python benchmarks/batch.py memory PACKAGE PHOTOS [--counts 1000 10000]

PHOTOS is a folder of photos; what is measured are crops of them, encoded anew as JPEG, in a temporary folder. Ways take
turns on slices of the images, in one process, so that a busy machine slows all of them alike; ratios are
medians over slices of the ratio within a slice.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from foveal.batch.job import Job
from foveal.batch.local import default_threads
from foveal.batch.output import to_file
from foveal.batch.sources import Source
from foveal.formats import Entry, entry_bytes
from foveal.imaging.image_files import SUFFIXES
from foveal.inference.pipeline import Predictor
from foveal.options import Options
from foveal.packages.package import ModelPackage

THREADS = 2  # that read and decode in the raw pipeline
Way = Callable[[Sequence[Path]], None]


def make_photos(originals: Path, folder: Path, count: int) -> list[Path]:
    """Crops of 50 to 100 % of the sides, quality 75 to 95: all different files, no two alike."""
    rng = np.random.default_rng(0)
    found = sorted(p for p in originals.rglob("*") if p.suffix.lower() in SUFFIXES)
    paths = []
    for i in range(count):
        with Image.open(found[rng.integers(len(found))]) as opened:
            photo = opened.convert("RGB")
        width, height = (round(side * rng.uniform(0.5, 1)) for side in photo.size)
        left, top = rng.integers(photo.width - width + 1), rng.integers(photo.height - height + 1)
        paths.append(folder / f"{i:05}.jpg")
        photo.crop((left, top, left + width, top + height)).save(paths[-1], quality=int(rng.integers(75, 96)))
    return paths


def one_at_a_time(predictor: Predictor, options: Options, folder: Path, paths: Sequence[Path]) -> None:
    """What a script does: open, predict, write a line."""
    with (folder / "naive").open("wb") as out:
        for path in paths:
            entry = Entry(str(path), predictor(path, options=options))
            out.write(entry_bytes(entry, predictor.manifest.task, options) + b"\n")


def raw_pipeline(predictor: Predictor, options: Options, paths: Sequence[Path]) -> None:
    """Decoding in threads, the session here on all cores; nothing is rendered, written, counted or caught."""
    with ThreadPoolExecutor(THREADS) as pool:
        for prepared in pool.map(lambda path: predictor.prepare(path.read_bytes(), options=options), paths):
            predictor.finish(predictor.infer([prepared], [options])[0], prepared, options)


def side_by_side(predictor: Predictor, options: Options, paths: Sequence[Path]) -> None:
    """The same work with whole images in threads, as `foveal predict` does it, and nothing else."""
    with ThreadPoolExecutor(default_threads()) as pool:
        for _ in pool.map(lambda path: predictor(path, options=options), paths):
            pass


def foveal_predict(job: Job, predictor: Predictor, folder: Path, paths: Sequence[Path]) -> None:
    """All that the command does behind its arguments: journal, JSON lines, counts."""
    sources = [Source(str(path), str(path)) for path in paths]
    to_file(job, sources, partial(job.pieces, predictor), folder / "out.jsonl", resume=False)


def sliced(paths: Sequence[Path], rounds: int, slices: int) -> Iterator[Sequence[Path]]:
    size = -(-len(paths) // slices)
    for _ in range(rounds):
        yield from (paths[start : start + size] for start in range(0, len(paths), size))


def speed(package: ModelPackage, paths: Sequence[Path], folder: Path, rounds: int, slices: int) -> None:
    job = Job(package, Options().resolved(package.manifest.pipeline.defaults))
    alone, shared = Predictor(package), job.predictor()  # all cores for one run; or shared out between runs
    ways: dict[str, Way] = {
        "raw pipeline": partial(raw_pipeline, alone, job.options),
        "raw, side by side": partial(side_by_side, shared, job.options),
        "foveal predict": partial(foveal_predict, job, shared, folder),
        "one at a time": partial(one_at_a_time, alone, job.options, folder),
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(paths[:20])  # warm
    for number, part in enumerate(sliced(paths, rounds, slices)):
        order = list(ways)[number % 4 :] + list(ways)[: number % 4]
        for name in order:
            start_wall, start_cpu = time.perf_counter(), time.process_time()
            ways[name](part)
            wall[name].append((time.perf_counter() - start_wall) / len(part))
            cpu[name].append((time.process_time() - start_cpu) / len(part))
    print(f"| way | wall ms, median | CPU ms, median | throughput / raw | CPU / raw |  ({os.getloadavg()[0]:.1f} load)")
    for name in ways:
        by_wall = statistics.median(raw / mine for raw, mine in zip(wall["raw pipeline"], wall[name], strict=True))
        by_cpu = statistics.median(mine / raw for raw, mine in zip(cpu["raw pipeline"], cpu[name], strict=True))
        medians = f"{1e3 * statistics.median(wall[name]):.2f} | {1e3 * statistics.median(cpu[name]):.2f}"
        print(f"| {name} | {medians} | {by_wall:.3f} | {by_cpu:.3f} |")


def memory(package: Path, paths: Sequence[Path], folder: Path, counts: Sequence[int]) -> None:
    """The command as a process of its own, over a list that names the images as often as needed."""
    for count in counts:
        names = [str(paths[i % len(paths)]) for i in range(count)]
        (folder / "list").write_text("\n".join(names))
        words = ["predict", f"@{folder}/list", "--model", str(package), "--out", str(folder / "out.jsonl")]
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", "from foveal.cli import main; main()", *words])
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        seconds = time.perf_counter() - start
        size = (folder / "out.jsonl").stat().st_size
        row = {"images": count, "peak_rss_mb": usage.ru_maxrss // 1024, "seconds": round(seconds, 1), "bytes": size}
        print(json.dumps(row | {"cpu_s": round(usage.ru_utime + usage.ru_stime, 1)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("package", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--counts", type=int, nargs="+", default=(1000, 10_000))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foveal-batch-") as temporary:
        folder = Path(temporary)
        paths = make_photos(given.photos, folder, given.count)
        total = sum(path.stat().st_size for path in paths)
        print(f"{len(paths)} JPEG files, {total / len(paths) / 1000:.0f} kB each in the mean", file=sys.stderr)
        if given.what == "speed":
            speed(ModelPackage.open(given.package), paths, folder, given.rounds, given.slices)
        else:
            memory(given.package, paths, folder, given.counts)


if __name__ == "__main__":
    main()
