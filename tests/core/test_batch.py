"""Batch inference: order, errors in place, every kind of source, and a kill at any moment."""

import os
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import foveal
from foveal.batch import local
from foveal.batch.inputs import expand
from foveal.batch.job import Job, Piece
from foveal.batch.journal import JournaledFile
from foveal.batch.output import to_file
from foveal.batch.sources import Source, shard
from foveal.batch.tally import Tally
from foveal.errors import BadOutput, BadRequest
from foveal.formats import FORMATS
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.packages.zoo import locate
from tests.helpers import packages
from tests.helpers.commandline import predict_command as command

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    packages.write_colours(folder, input_hw=(16, 16))
    return folder


@pytest.fixture(scope="module")
def predictor(zoo: Path) -> Predictor:
    return foveal.load("colours", zoo=zoo)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(7):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((9, 8, 3), 30 * i, np.uint8))
    (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_files_come_back_in_order_with_errors_in_place(predictor: Predictor, folder: Path, batch_size: int) -> None:
    names = [s.name for s in expand([str(folder)])]
    assert [Path(n).name for n in names] == [f"{i}.png" for i in range(7)]
    options = Options().resolved(predictor.spec.defaults)
    entries = list(local.run(predictor, expand([str(folder)]), options=options, batch_size=batch_size, threads=2))
    assert [e.name for e in entries] == names
    assert [e.failed for e in entries] == [i == 3 for i in range(7)]


@pytest.mark.parametrize("name", ["blood-cells", "aerial-scenes"])
def test_runs_side_by_side_give_the_same_bits_as_one_at_a_time(name: str) -> None:
    """What side by side rests on: the number of threads in an operator changes no bit of an output."""
    package = ModelPackage.open(locate(name, ROOT / "zoo"))
    alone, shared = (Job(package, Options().resolved(package.manifest.pipeline.defaults), threads=n) for n in (1, 2))
    sources = expand([str(ROOT / "examples/*.png")])
    one, two = (list(job.pieces(job.predictor(), sources)) for job in (alone, shared))
    assert [piece.data for piece in one] == [piece.data for piece in two]
    few, many = (Predictor(package, SessionSettings(threads=n)) for n in (1, 3))
    prepared = few.prepare(sources[0].read())
    expected, got = (p.infer([prepared], [alone.options])[0] for p in (few, many))
    assert all(np.array_equal(expected[output], got[output]) for output in expected)


def test_expand_takes_files_folders_and_globs(folder: Path) -> None:
    assert [s.name for s in expand([str(folder / "notes.txt")])] == [str(folder / "notes.txt")]  # asked for by name
    assert len(expand([str(folder / "[0-2].png"), str(folder)])) == 10
    with pytest.raises(BadRequest, match="found nothing"):
        expand([str(folder / "*.tiff")])


def test_a_list_of_names_keeps_their_order(folder: Path) -> None:
    (folder / "list").write_text(f"{folder}/2.png\n\n{folder}/0.png\n")
    assert [Path(s.name).name for s in expand([f"@{folder}/list"])] == ["2.png", "0.png"]


def test_a_tar_gives_the_same_results_as_its_files(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"
    with tarfile.open(archive, "w") as opened:
        for name in ("2.png", "notes.txt", "5.png"):
            opened.add(folder / name, f"inner/{name}")
    sources = expand([str(archive)])
    assert [s.name for s in sources] == [f"{archive}/inner/2.png", f"{archive}/inner/5.png"]
    assert [s.read() for s in sources] == [(folder / n).read_bytes() for n in ("2.png", "5.png")]
    archive.write_bytes(b"no tar at all" * 100)
    with pytest.raises(BadRequest, match="uncompressed tar"):
        expand([str(archive)])


def test_shards_are_the_whole_once() -> None:
    sources = [Source(str(i), str(i)) for i in range(10)]
    parts = [shard(sources, f"{i}/3") for i in (1, 2, 3)]
    assert sorted((s for part in parts for s in part), key=lambda s: int(s.name)) == sources
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0", "-1/3"):
        with pytest.raises(BadRequest, match="expected I/N"):
            shard(sources, wrong)


def test_csv_has_a_row_a_class_and_the_error_in_its_column(predictor: Predictor, folder: Path) -> None:
    options = replace(Options(), top_k=2).resolved(predictor.spec.defaults)
    writer = FORMATS["csv"](predictor.manifest.pipeline, options)
    names = [str(folder / "2.png"), str(folder / "3.png")]
    entries = local.run(predictor, [Source(n, n) for n in names], options=options, batch_size=1, threads=1)
    lines = (writer.header() + b"".join(map(writer.write, entries))).decode().splitlines()
    assert lines[0] == "image,rank,label,class_id,score,error"
    assert lines[1] == f"{names[0]},1,red,0,0.333333,"
    assert len(lines) == 4
    assert lines[3].startswith(f"{names[1]},,,,,")


def test_kill_and_resume_gives_the_file_of_an_uninterrupted_run(tmp_path: Path) -> None:
    """kill -9 at random moments, resumed each time. The graph is made slow, so that the kills hit the work."""
    zoo, folder = tmp_path / "zoo", tmp_path / "images"
    packages.write_colours(zoo, input_hw=(256, 256), cost=60)
    folder.mkdir()
    for i in range(250):
        cv2.imwrite(str(folder / f"{i:03}.png"), np.full((9, 8, 3), i, np.uint8))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert subprocess.run(command(zoo, whole, folder), stderr=subprocess.PIPE).returncode == 0
    rng, kills = np.random.default_rng(0), 0
    for _ in range(10):
        process = subprocess.Popen(command(zoo, killed, folder, "--resume"), stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        before = killed.stat().st_size if killed.exists() else 0
        while process.poll() is None and time.monotonic() < deadline:  # let it get to work, then kill it there
            if killed.exists() and killed.stat().st_size != before:
                time.sleep(rng.uniform(0, 0.2))
                break
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    if process.returncode != 0:
        process = subprocess.run(command(zoo, killed, folder, "--resume"), stderr=subprocess.PIPE)
    assert process.returncode == 0
    assert kills >= 2
    assert killed.read_bytes() == whole.read_bytes()
    assert not killed.with_name("killed.journal").exists()


def test_a_torn_line_is_cut_and_another_job_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def interrupted() -> None:
        with JournaledFile(out, job="a", resume=True) as file:
            file.append(b"head\n")
            file.append(b"one\n", Tally(images=1, failed=1, first_failure="one: no", found={"red": 2}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    out.write_bytes(out.read_bytes() + b"tw")
    with pytest.raises(BadOutput, match="they differ"):
        JournaledFile(out, job="b", resume=True)
    journal = out.with_name("out.journal")
    journal.write_bytes(journal.read_bytes() + b'{"bytes": 9')  # a torn line of the journal
    with JournaledFile(out, job="a", resume=True) as file:
        assert file.tally.images == 1
        file.append(b"two\n", Tally(images=1, found={"red": 1, "blue": 1}))
    assert out.read_bytes() == b"head\none\ntwo\n"
    assert file.tally == Tally(2, 1, "one: no", {"red": 3, "blue": 1})


def test_a_job_killed_behind_its_header_writes_no_second_one(tmp_path: Path) -> None:
    def interrupted() -> None:
        with JournaledFile(tmp_path / "out", job="a", resume=True) as file:
            file.append(b"head\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with JournaledFile(tmp_path / "out", job="a", resume=True) as file:
        assert not file.empty
    assert (tmp_path / "out").read_bytes() == b"head\n"


@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_every_format_resumes_and_remembers_failures(zoo: Path, folder: Path, tmp_path: Path, format_: str) -> None:
    """Killed, as it were, behind the broken fourth image; the exit code still knows of it."""
    options = Options().resolved(foveal.load("colours", zoo=zoo).spec.defaults)
    job = Job(ModelPackage.open(zoo / "colours" / "1"), options, format=format_)
    sources = expand([str(folder)])
    whole, out = tmp_path / "whole", tmp_path / "out"

    def full(left: Sequence[Source]) -> Iterator[Piece]:
        yield from job.pieces(job.predictor(), left[:5])
        raise RuntimeError("killed")

    def here(left: Sequence[Source]) -> Iterator[Piece]:
        return job.pieces(job.predictor(), left)

    with pytest.raises(RuntimeError, match="killed"):
        to_file(job, sources, full, out, resume=True)
    tally, skipped = to_file(job, sources, here, out, resume=True)
    assert (skipped, tally.images, tally.failed, tally.found) == (5, 7, 1, {"red": 6})
    assert to_file(job, sources, here, whole, resume=False) == (tally, 0)
    assert out.read_bytes() == whole.read_bytes()
    assert {p.name for p in tmp_path.iterdir() if p.is_file() and p.suffix not in (".png", ".txt")} == {"whole", "out"}


def test_the_summary_counts_what_was_found(zoo: Path, folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(zoo, tmp_path / "out", folder), capture_output=True, text=True)
    passed_over, first, found, failed = done.stderr.splitlines()
    assert passed_over == "foveal: 1 file passed over (.txt 1)"
    assert re.fullmatch(r"foveal: 7 images in \d+\.\d s, \d+\.\d images/s", first)
    assert found == "foveal: images by most likely class: red 6"
    assert failed.startswith(f"foveal: 1 of 7 images failed; the first: {folder}/3.png: ")


def test_fail_fast_stops_and_keeps_what_was_done(zoo: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "out.jsonl"
    out.parent.mkdir()
    done = subprocess.run(command(zoo, out, folder, "--fail-fast"), capture_output=True, text=True)
    assert done.returncode == 1
    assert len(out.read_text().splitlines()) == 4
    assert "3.png" in done.stderr
