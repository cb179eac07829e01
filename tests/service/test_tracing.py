"""Spans at an OpenTelemetry collector: one for each request, with a child for each stage, below the caller's own."""

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from foveal.service.application import Application
from foveal.service.observability.stages import STAGES
from foveal.service.observability.tracing import ExporterMissing
from foveal.service.settings import Settings
from tests.helpers.applications import run
from tests.helpers.packages import png

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Keeps what is posted to /v1/traces."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def spans(self) -> dict[str, Span]:
        scopes = [scope for request in self.requests for row in request.resource_spans for scope in row.scope_spans]
        return {span.name: span for scope in scopes for span in scope.spans}


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_and_its_stages(collector: Collector, colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "find-me"}
        answer = await client.post("/v1/classify", content=png((255, 0, 0)), headers=headers)
        assert answer.status_code == 200

    run(colour_zoo, check, otel_endpoint=f"http://127.0.0.1:{collector.server_port}/")
    spans = collector.spans()
    assert spans.keys() == {"POST /v1/classify", *STAGES}
    request = spans.pop("POST /v1/classify")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER
    noted = {item.key: item.value for item in request.attributes}
    assert noted["http.response.status_code"].int_value == 200
    assert noted["foveal.request_id"].string_value == "find-me"
    at = request.start_time_unix_nano
    for name in STAGES:
        stage = spans[name]
        assert stage.parent_span_id == request.span_id
        assert at <= stage.start_time_unix_nano <= stage.end_time_unix_nano, name
        at = stage.end_time_unix_nano - 1000  # two clocks meet here; a microsecond is not asked for
    assert at <= request.end_time_unix_nano
    (resource,) = {row.resource.SerializeToString() for request in collector.requests for row in request.resource_spans}
    assert b"service.name" in resource
    assert b"foveal" in resource


def test_nothing_is_sent_without_an_endpoint(collector: Collector, colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/classify", content=png((255, 0, 0)))).status_code == 200

    run(colour_zoo, check)
    assert collector.requests == []


def test_an_endpoint_without_the_extra_is_reported_at_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExporterMissing, match=r"foveal\[otel\]"):
        Application(Settings(zoo=tmp_path, otel_endpoint="http://127.0.0.1:4318"))
