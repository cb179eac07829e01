"""What decoding a file costs (`decode_cost`): CPU seconds and peak memory, measured in a process of its own."""

import ctypes
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from foveal.errors import FovealError
from foveal.imaging.decode import decode
from tests.helpers.hostile_images import CONTAINERS, sample


@dataclass(frozen=True)
class Cost:
    """Of one file."""

    cpu_s: float
    peak_bytes: int  # over what the process had before
    outcome: str  # the image's size, or the error


def decode_cost(data: bytes) -> Cost:
    """Decode in a forked process; what the decoders load once is not counted."""
    for container in CONTAINERS:
        decode(sample(container))
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_measure, args=(data, sender))
    process.start()
    cost: Cost = receiver.recv()
    process.join()
    return cost


def _measure(data: bytes, sender: Connection) -> None:
    ctypes.CDLL(None).malloc_trim(0)  # what the maker of the file left would hide what decoding takes
    start = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    began = time.process_time()
    try:
        outcome = "{} x {}".format(*decode(data).rgb.shape[1::-1])
    except FovealError as error:
        outcome = f"{type(error).__name__}: {error}"
    cpu_s = time.process_time() - began
    sender.send(Cost(cpu_s, _memory("VmHWM") - start, outcome))


def _memory(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith(field))
