"""Two instances behind HAProxy, restarted in turn under load: no request fails. Needs Debian's haproxy; slow."""

import contextlib
import http.client
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.packages import png, write_colours
from tests.helpers.servers import Server

CONFIG = """defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  option http-keep-alive
  option redispatch
  retries 3
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  option httpchk GET /readyz
  http-reuse always
  default-server check inter 300ms fall 1 rise 1
{servers}
"""


class Clients:
    """Keep-alive clients that ask without pause."""

    def __init__(self, port: int, count: int) -> None:
        self.statuses: dict[object, int] = {}
        self._port, self._stop = port, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v1/classify", png((255, 0, 0)))
                response = connection.getresponse()
                response.read()
                outcome: object = response.status
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            self.statuses[outcome] = self.statuses.get(outcome, 0) + 1
            time.sleep(0.01)
        connection.close()

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy (apt-get install haproxy)")
def test_no_request_fails(tmp_path: Path) -> None:
    write_colours(tmp_path / "zoo")
    with contextlib.ExitStack() as stack:
        servers = [Server(tmp_path / "zoo", tmp_path / f"log{i}", drain_s=2) for i in range(3)]
        port = servers.pop().port
        for server in servers:
            stack.enter_context(server)
        lines = "\n".join(f"  server s{i} 127.0.0.1:{server.port}" for i, server in enumerate(servers))
        (tmp_path / "haproxy.cfg").write_text(CONFIG.format(port=port, servers=lines))
        proxy = subprocess.Popen(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")], stderr=subprocess.DEVNULL)
        stack.callback(proxy.wait)
        stack.callback(proxy.terminate)
        time.sleep(1)
        with Clients(port, 8) as clients:
            time.sleep(1)
            for server in servers:
                assert server.stop(signal.SIGTERM) == 0, server.log
                server.__enter__()
                time.sleep(1)
    print(clients.statuses)
    assert clients.statuses.keys() == {200}
    assert clients.statuses[200] > 100
