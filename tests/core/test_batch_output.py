"""Output of batch jobs: nothing is written over, mixed or lost, whatever happens to disk, inputs or process."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import foveal
from foveal.batch.inputs import expand
from foveal.batch.job import Job, Piece
from foveal.batch.journal import JournaledFile
from foveal.batch.output import Interrupted, to_file, to_stream
from foveal.batch.sources import Source
from foveal.batch.tally import Tally
from foveal.errors import BadImage, BadOutput
from foveal.formats import Entry
from foveal.packages.package import ModelPackage
from tests.helpers import packages
from tests.helpers.commandline import predict_command

FORMATS = ["jsonl", "csv", "parquet"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("zoo")
    packages.write_colours(folder, input_hw=(16, 16))
    return ModelPackage.open(folder / "colours" / "1", hold_graph=False)


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    (tmp_path / "images").mkdir()
    for i in range(6):
        (tmp_path / "images" / f"{i}.png").write_bytes(packages.png((40 * i, 0, 9)))
    return expand([str(tmp_path / "images")])


def job_of(package: ModelPackage, format_: str = "jsonl") -> Job:
    return Job(package, foveal.Options().resolved(package.manifest.pipeline.defaults), format=format_, threads=1)


def engine(job: Job):
    return lambda left: job.pieces(job.predictor(), left)


def stopping(job: Job, after: int, error: BaseException):
    def run(left: Sequence[Source]) -> Iterator[Piece]:
        yield from job.pieces(job.predictor(), left[:after])
        raise error

    return run


def interrupted(job: Job, sources: Sequence[Source], out: Path, after: int = 3) -> None:
    with pytest.raises(Interrupted, match=f"{after} of {len(sources)} images are done; .* --resume goes on"):
        to_file(job, sources, stopping(job, after, KeyboardInterrupt()), out, resume=False)


def test_an_input_that_changed_is_refused_by_name(package: ModelPackage, sources: list[Source], tmp_path: Path) -> None:
    """Of those that are done; one that comes later is predicted as it is now."""
    job, out = job_of(package), tmp_path / "out"
    interrupted(job, sources, out)
    Path(sources[4].path).write_bytes(packages.png((1, 2, 3), (20, 20)))
    whole = tmp_path / "whole"
    to_file(job, sources, engine(job), whole, resume=False)
    kept, old = out.read_bytes(), os.stat(sources[1].path)
    os.utime(sources[1].path, ns=(old.st_atime_ns, old.st_mtime_ns + 1))
    with pytest.raises(BadOutput, match=r"got a changed one: .*/1\.png; --overwrite"):
        to_file(job, sources, engine(job), out, resume=True)
    assert out.read_bytes() == kept
    os.utime(sources[1].path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert to_file(job, sources, engine(job), out, resume=True)[1] == 3
    assert out.read_bytes() == whole.read_bytes()


def test_another_job_is_no_resume(package: ModelPackage, sources: list[Source], tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupted(job_of(package), sources, out)
    for other, images in ((job_of(package, "csv"), sources), (job_of(package), sources[1:])):
        with pytest.raises(BadOutput, match="they differ"):
            to_file(other, images, engine(other), out, resume=True)


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_is_written_over(package: ModelPackage, sources: list[Source], tmp_path: Path, format_: str) -> None:
    job, out = job_of(package, format_), tmp_path / "out"
    to_file(job, sources, engine(job), out, resume=False)
    finished = out.read_bytes()
    for flags, message in (({"resume": False}, "--overwrite replaces it"), ({"resume": True}, "got a file without")):
        with pytest.raises(BadOutput, match=message):
            to_file(job, sources[:2], engine(job), out, **flags)
        assert out.read_bytes() == finished
    assert {p.name for p in tmp_path.iterdir()} == {"out", "images"}
    to_file(job, sources[:2], engine(job), out, resume=False, overwrite=True)
    assert out.read_bytes() != finished


def test_an_unfinished_output_is_not_written_over(package: ModelPackage, sources: list[Source], tmp_path: Path) -> None:
    job, out = job_of(package), tmp_path / "out"
    interrupted(job, sources, out)
    with pytest.raises(BadOutput, match="got an unfinished output; --resume goes on, --overwrite starts over"):
        to_file(job, sources, engine(job), out, resume=False)
    assert to_file(job, sources, engine(job), out, resume=False, overwrite=True)[1] == 0


def test_one_output_has_one_writer(tmp_path: Path) -> None:
    """Also through a link; and a lock that its owner took along is none."""
    out = tmp_path / "out"
    with JournaledFile(out, job="a", resume=False) as file:
        file.append(b"x", Tally(images=1), ["stamp"])
        for flags in ({"resume": True}, {"resume": False, "overwrite": True}):
            with pytest.raises(BadOutput, match="expected to be its only writer"):
                JournaledFile(out, job="a", **flags)
    assert out.read_bytes() == b"x"
    code = f"""
import os, pathlib
from foveal.batch.journal import JournaledFile
file = JournaledFile(pathlib.Path({str(out)!r}), job="a", resume=False, overwrite=True)
file.append(b"y"); file.save(); os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    with JournaledFile(out, job="a", resume=True) as file:
        file.append(b"z")
    assert out.read_bytes() == b"yz"


def test_what_is_no_file_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for out, message in ((Path("/dev/null"), "got a device"), (tmp_path / "pipe", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(BadOutput, match=message):
            JournaledFile(out, job="a", resume=False)
    with pytest.raises(BadOutput, match="No such file or directory"):
        JournaledFile(tmp_path / "no" / "out", job="a", resume=False)
    assert {p.name for p in tmp_path.iterdir()} == {"pipe"}


@pytest.fixture
def tiny() -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("room", [0, 4096, 8192, 16384])
def test_a_full_disk_loses_nothing(
    package: ModelPackage, sources: list[Source], tmp_path: Path, tiny: Path, format_: str, room: int
) -> None:
    """Full from the start, at the journal, in the middle of the entries, or when the file is assembled."""
    many = sources * 20
    job, out, fill = job_of(package, format_), tiny / "out", tiny / "fill"
    to_file(job, many, engine(job), tmp_path / "whole", resume=False)
    fill.write_bytes(bytes(65536 - room))
    with pytest.raises(BadOutput, match="No space left on device"):
        to_file(job, many, engine(job), out, resume=False)
    assert not (tiny / "out.tmp").exists()
    fill.unlink()
    to_file(job, many, engine(job), out, resume=(tiny / "out.journal").exists(), overwrite=False)
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert [p.name for p in tiny.iterdir()] == ["out"]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_stream_that_takes_no_more(package: ModelPackage, sources: list[Source], format_: str) -> None:
    job = job_of(package, format_)
    full = pytest.raises(BadOutput, match=r"stdout: .*No space left on device")
    with open("/dev/full", "wb", buffering=0) as stream, full:
        to_stream(job, sources, engine(job), stream)
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "wb", buffering=0)
    with stream, pytest.raises(BadOutput, match=r"stdout: .*Broken pipe"):
        to_stream(job, sources, engine(job), stream)


def test_ctrl_c_on_a_stream_says_how_far_it_came(package: ModelPackage, sources: list[Source], tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as stream, pytest.raises(Interrupted, match="2 of 6 images are done"):
        to_stream(job_of(package), sources, stopping(job_of(package), 2, KeyboardInterrupt()), stream)


def test_ctrl_c_in_a_real_process(tmp_path: Path) -> None:
    zoo, folder, out = tmp_path / "zoo", tmp_path / "images", tmp_path / "out"
    packages.write_colours(zoo, input_hw=(256, 256), cost=60)
    folder.mkdir()
    for i in range(300):
        (folder / f"{i:03}.png").write_bytes(packages.png((i % 256, 0, 0)))
    process = subprocess.Popen(predict_command(zoo, out, folder), stderr=subprocess.PIPE, text=True)
    while not out.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 130, talk
    found = re.fullmatch(
        r"foveal: interrupted: (\d+) of 300 images are done; the same command with --resume goes on\n", talk
    )
    assert found, talk
    assert len(out.read_text().splitlines()) == int(found[1])


@pytest.mark.parametrize(
    ("redirection", "message"),
    [("> /dev/full", "Output cannot be written: stdout: "), ("| true", "Output cannot be written: stdout: ")],
)
def test_stdout_that_takes_nothing_is_exit_code_2(
    package: ModelPackage, sources: list[Source], redirection: str, message: str
) -> None:
    words = [sys.executable, "-c", "'from foveal.cli import main; main()'", "predict", *(s.path for s in sources * 9)]
    command = " ".join([*words, "--model", str(package.path), redirection])
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_the_summary_for_programs(package: ModelPackage, sources: list[Source], tmp_path: Path) -> None:
    (tmp_path / "images" / "a.txt").touch()
    words = ["predict", str(tmp_path / "images"), "--model", str(package.path), "--summary", str(tmp_path / "s.json")]
    code = "from foveal.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "s.json").read_bytes())
    assert (summary["images"], summary["failed"], summary["passed_over"]) == (6, 0, {".txt": 1})


def test_an_entry_holds_none_of_the_pixels_that_its_error_saw() -> None:
    class Pixels:
        pass

    def decode_badly() -> weakref.ref[Pixels]:
        pixels = Pixels()
        nonlocal entry
        try:
            try:
                raise ValueError(id(pixels))
            except ValueError as error:
                raise BadImage("cut") from error
        except BadImage as error:
            entry = Entry("a.png", error)
        return weakref.ref(pixels)

    entry: Entry | None = None
    seen = decode_badly()
    gc.collect()
    assert entry is not None
    assert str(entry.outcome) == "cut"
    assert seen() is None
