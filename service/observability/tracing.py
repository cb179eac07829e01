"""Traces for an OpenTelemetry collector, when one is set: a span for each request, below it one for each stage.

W3C `traceparent` of the caller is taken over. The OTEL_* variables (service name, sampler, headers) hold as usual.
"""

import importlib.util
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace

from foveal.errors import FovealError

if TYPE_CHECKING:
    from foveal.service.inference.served_model import Stages

EXPORTER = "opentelemetry.exporter.otlp"


class ExporterMissing(FovealError):
    """An endpoint is set, and the extra that reaches it is not installed."""

    title = "OpenTelemetry exporter not installed"


class Tracing:
    """Off, and next to free, without an endpoint."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint`: base URL of an OTLP/HTTP collector, or nothing.

        Raises:
            ExporterMissing: the extra `otel` is not installed.
        """
        if endpoint and not _installed():
            raise ExporterMissing("FOVEAL_OTEL_ENDPOINT is set: expected the extra that reaches it, foveal[otel]")
        self._endpoint = endpoint
        self._tracer: trace.Tracer | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Spans are sent while inside, by a thread of their own; the last ones at the end, which blocks."""
        if not self._endpoint:
            yield
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=Resource.create({"service.name": "foveal"}))
        exporter = OTLPSpanExporter(self._endpoint.rstrip("/") + "/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = provider.get_tracer("foveal")
        try:
            yield
        finally:
            provider.shutdown()

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[trace.Span]:
        """The span of a request, current inside; the caller names it."""
        if self._tracer is None:
            yield trace.INVALID_SPAN
            return
        parent = propagate.extract(headers)
        with self._tracer.start_as_current_span("request", parent, trace.SpanKind.SERVER) as span:
            yield span

    def image(self, model: str, stages: "Stages") -> None:
        """The spans of one image, below the current one."""
        if self._tracer is None:
            return
        offset_ns = time.time_ns() - time.perf_counter_ns()
        for stage, at in stages.began.items():
            start_ns = offset_ns + int(1e9 * at)
            span = self._tracer.start_span(stage, start_time=start_ns, attributes={"foveal.model": model})
            span.end(start_ns + int(1e9 * stages.seconds[stage]))


def _installed() -> bool:
    try:
        return importlib.util.find_spec(EXPORTER) is not None
    except ModuleNotFoundError:  # not even the folders above it
        return False
