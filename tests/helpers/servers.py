"""`foveal serve` as a separate process (`Server`), for tests over real HTTP."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx

from foveal.service.http.schemas import Problem

START_S = 300  # two busy cores import slowly


class Server:
    """A running `foveal serve` on a free port; the context waits for readiness and stops it at the end."""

    def __init__(self, zoo: Path, log: Path, *, cgroup: Path | None = None, **settings: object) -> None:
        """`cgroup`: to run in; other settings are FOVEAL_* variables."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [str(Path(sys.executable).parent / "foveal"), "serve", "--port", str(self.port)]
        self._command += ["--zoo", str(zoo)]
        self._environment = os.environ | {"FOVEAL_" + name.upper(): str(value) for name, value in settings.items()}
        self._log, self._cgroup = log, cgroup

    def __enter__(self) -> "Server":
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._enter() + self._command, env=self._environment, stdout=log, stderr=log, process_group=0
            )
        try:
            self._wait()
        except BaseException:
            self.stop(signal.SIGTERM)
            raise
        return self

    def _enter(self) -> list[str]:
        """The beginning of a command that enters the cgroup first."""
        if self._cgroup is None:
            return []
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self._cgroup)]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._ready():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def _ready(self) -> bool:
        """Whether /readyz is 200. Without httpx, whose first use takes 30 ms: start times are measured here."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self, sign: signal.Signals) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(120)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            assert self.stop(signal.SIGINT) == 0, self.log  # as by Ctrl-C


def problem(response: httpx.Response, status: int) -> Problem:
    """The RFC 9457 problem of an error response."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(response.json())
    assert found.status == status
    return found


def best(response: httpx.Response, index: int = 0) -> str:
    """The best class of one entry of a response."""
    assert response.status_code == 200, response.text
    return str(response.json()["results"][index]["classes"][0]["label"])
