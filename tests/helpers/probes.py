"""`Probes`: /livez asked all the while by another process, as an orchestrator does."""

import multiprocessing
import time
import urllib.request
from multiprocessing.synchronize import Event
from types import TracebackType

import numpy as np


class Probes:
    """Asks while its context lasts; then `latencies_ms` of the answers, and `failed`, how many were no 200 in time."""

    def __init__(self, url: str, every_s: float = 0.05) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._results = context.Queue()
        self._process = context.Process(target=_ask, args=(url, every_s, self._stop, self._results))
        self.latencies_ms: list[float] = []
        self.failed = 0

    def __enter__(self) -> "Probes":
        self._process.start()
        self._results.get(timeout=60)  # the first answer: it runs
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self.latencies_ms, self.failed = self._results.get(timeout=60)
        self._process.join()

    def p99_ms(self) -> float:
        """The 99th percentile of all answers."""
        return float(np.percentile(self.latencies_ms, 99))

    def median_ms(self) -> float:
        """Half of the answers came sooner."""
        return float(np.median(self.latencies_ms))


def _ask(url: str, every_s: float, stop: Event, results: "multiprocessing.Queue[object]") -> None:
    latencies_ms: list[float] = []
    failed = 0
    while not stop.is_set():
        began = time.monotonic()
        try:
            with urllib.request.urlopen(url + "/livez", timeout=10) as answer:
                answer.read()
            latencies_ms.append(1000 * (time.monotonic() - began))
        except OSError:
            failed += 1
        if len(latencies_ms) + failed == 1:
            results.put("running")
        stop.wait(every_s)
    results.put((latencies_ms, failed))
