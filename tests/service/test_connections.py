"""Limits on connections: heads, silence, unread answers, framing, and draining."""

import contextlib
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.helpers.packages import png, write_colours
from tests.helpers.servers import Server

RED = png((255, 0, 0))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Little patience, few connections."""
    folder = tmp_path_factory.mktemp("strict")
    write_colours(folder / "zoo")
    limits = {"head_s": 1, "keep_alive_s": 1.5, "write_s": 1, "max_connections": 30, "drain_s": 1}
    with Server(folder / "zoo", folder / "log", **limits) as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def answer(server: Server, request: bytes) -> bytes:
    """All that the server sends until it closes."""
    with connect(server) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request)
        return client.makefile("rb").read()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000,
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: v\r\n" % i for i in range(90_000)),
        b"GET /" + b"a" * 1_000_000,
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 300 + b"\r\n",
    ],
    ids=["one line", "lines", "path", "fields"],
)
def test_a_head_without_end(strict: Server, head: bytes) -> None:
    first, _, body = answer(strict, head).partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 431 "), first
    assert b"application/problem+json" in first
    assert json.loads(body)["title"] == "Request head too large"


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /livez HT", b"\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
     b"GET /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"],
    ids=["silent", "half a head", "blank", "idle", "body that nobody reads"],
)  # fmt: skip
def test_who_owes_something_is_closed(strict: Server, start: bytes) -> None:
    started = time.monotonic()
    answer(strict, start)
    assert 0.5 < time.monotonic() - started < 4


@pytest.mark.parametrize("rest", [b"1\r\na\r\n0\r\n" + b"A: b\r\n" * 200_000, b"1;" + b"a" * 1_000_000])
def test_a_body_that_is_mostly_framing(strict: Server, rest: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        answer(strict, b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
    assert httpx.get(strict.url + "/livez").status_code == 200


def test_more_connections_than_allowed(strict: Server) -> None:
    clients = [connect(strict) for _ in range(200)]
    try:
        assert httpx.post(strict.url + "/v1/classify", content=RED).status_code == 200
        workers = psutil.Process(strict.process.pid).children(recursive=True)
        assert sum(c.status == "ESTABLISHED" for w in workers for c in w.net_connections()) < 40
    finally:
        for client in clients:
            client.close()


def test_who_does_not_read_is_disconnected(strict: Server) -> None:
    body = png((1, 2, 3), (2000, 2000))
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", strict.port))
        client.sendall(head + body)
        deadline = time.monotonic() + 15
        workers = psutil.Process(strict.process.pid).children(recursive=True)
        mine = client.getsockname()[1]
        while any(c.raddr and c.raddr.port == mine for w in workers for c in w.net_connections()):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_draining(tmp_path: Path) -> None:
    write_colours(tmp_path / "zoo")
    with Server(tmp_path / "zoo", tmp_path / "log", drain_s=2) as server:
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        kept.request("GET", "/livez")
        kept.getresponse().read()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert httpx.get(server.url + "/readyz").status_code == 503
        kept.request("POST", "/v1/classify", RED)
        last = kept.getresponse()
        assert (last.status, last.headers["connection"]) == (200, "close")
        assert httpx.post(server.url + "/v1/classify", content=RED).headers["connection"] == "close", "a new one too"
        assert server.process.wait(20) == 0, server.log
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url + "/livez")


@pytest.mark.parametrize("size", [5_000, 300_000, 3_000_000])
@pytest.mark.parametrize("end", [b" HTTP/1.1\r\nConnection: close", b" HTTP/1.0"], ids=["close", "1.0"])
@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST /v1/classify?model=nosuch", 404),
        (b"POST /v1/classify?x=1", 400),
        (b"POST /v1/nothing", 404),
        (b"POST /v1/models", 405),
        (b"POST /livez", 405),
    ],
)
def test_an_answer_before_the_end_of_the_body_arrives(
    strict: Server, request_line: bytes, status: int, end: bytes, size: int
) -> None:
    head = request_line + end + b"\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    for _ in range(5):
        with connect(strict) as client:
            client.sendall(head + bytes(size))  # a reset would be an error here, or lose the answer
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 %d " % status)


def test_small_fields_are_counted_as_they_come(strict: Server) -> None:
    """Each takes some 200 bytes of memory: 1,500 heads of 63 kB took 2.4 GB until they were complete."""
    started = time.monotonic()
    first = answer(strict, b"GET /livez HTTP/1.1\r\n" + b"a:\r\n" * 300)
    assert first.startswith(b"HTTP/1.1 431 ")
    assert b"at most 256 header fields" in first
    assert time.monotonic() - started < 1.5, "not after the limit on time, with 408 or nothing"


@pytest.mark.parametrize(
    "coding",
    [b"xchunked", b"gzip, chunked", b"chunked, chunked", b"identity", b"chunked\r\nTransfer-Encoding: chunked"],
)
def test_other_transfer_codings_are_refused(strict: Server, coding: bytes) -> None:
    request = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    assert answer(strict, request).startswith(b"HTTP/1.1 400 ")


def in_chunks(size: int) -> bytes:
    pieces = (RED[at : at + size] for at in range(0, len(RED), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_chunks_may_be_small_but_not_many(strict: Server) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer(strict, head + in_chunks(7)).startswith(b"HTTP/1.1 200 ")
    with contextlib.suppress(ConnectionError):
        assert not answer(strict, head + b"5\r\nabcde\r\n" * 200_000 + b"0\r\n\r\n")
    assert httpx.get(strict.url + "/livez").status_code == 200
