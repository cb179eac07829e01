"""Invalid and unusual requests: none gives a 5xx, stops the service or stays in its memory."""

import contextlib
import http.client
import json
import socket
import threading
import time

import httpx
import psutil
import pytest

from tests.helpers.hostile import Case, corpus
from tests.helpers.servers import Server

CASES = corpus()


def send(port: int, request: bytes, method: bytes = b"POST") -> http.client.HTTPResponse:
    """Raw bytes out, one response in, its body read."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before everything was sent
            connection.sendall(request)
        response = http.client.HTTPResponse(connection, method=method.decode())  # HEAD has no body
        response.begin()
        response.body = response.read()  # type: ignore[attr-defined]
        return response


def memory_mb(server: Server) -> float:
    workers = psutil.Process(server.process.pid).children(recursive=True)
    return sum(worker.memory_info().rss for worker in workers) / 1e6


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile(server: Server, case: Case) -> None:
    response = send(server.port, case.request(), case.method)
    body = response.body  # type: ignore[attr-defined]
    assert response.status in case.expect, body[:300]
    if response.status >= 400 and response.headers["content-type"] == "application/problem+json" and body:
        assert json.loads(body)["status"] == response.status
    elif response.status == 200 and case.target.startswith(b"/v1/classify"):
        assert json.loads(body)["results"]


def test_memory_levels_out_and_the_service_lives(server: Server) -> None:
    """The allocator keeps each thread's high water, which takes some rounds to reach; a leak would grow in each."""
    used = [memory_mb(server)]
    while len(used) < 3 or used[-1] > used[-2] * 1.02:
        assert len(used) < 8, f"MB after each round: {used}"
        for case in CASES:
            send(server.port, case.request(), case.method)
        used.append(memory_mb(server))
    assert httpx.get(server.url + "/readyz").status_code == 200


def test_liveness_while_slow_clients_hang_on(server: Server) -> None:
    """Heads that never end, bodies that never come, chunks that stop: fifty of them, and nobody else notices."""
    starts = [
        b"POST /v1/cl",
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nhello",
    ]
    hanging = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    try:
        for number, connection in enumerate(hanging):
            connection.sendall(starts[number % len(starts)])
        started = time.monotonic()
        assert httpx.get(server.url + "/livez").status_code == 200
        good = next(case for case in CASES if case.name == "image: 7x7")
        assert send(server.port, good.request()).status == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in hanging:
            connection.close()


def test_clients_that_vanish_mid_way(server: Server) -> None:
    """Connections cut at every point of a request; the service goes on."""
    good = next(case for case in CASES if case.name == "image: 7x7").request()

    def cut(at: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(good[:at])
            if at % 2:  # reset instead of an orderly end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    threads = [threading.Thread(target=cut, args=(at,)) for at in range(1, len(good), 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert send(server.port, good).status == 200


def test_garbage_instead_of_http(server: Server) -> None:
    for garbage in (
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
        b"GET\r\n\r\n",
        b"\0" * 1000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("rb").read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert httpx.get(server.url + "/livez").status_code == 200
