"""OpenTelemetry tracing (`Tracing`): a span for each request and a child span for each stage of each image.

A caller's W3C `traceparent` becomes the parent. The OTEL_* variables (service name, sampler, headers) apply.
"""

import importlib.util
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace

from foveal.errors import FovealError
from foveal.service.observability.stages import StageTimings

EXPORTER = "opentelemetry.exporter.otlp"


class ExporterMissing(FovealError):
    """An endpoint is set, and the extra `otel` is not installed."""

    title = "OpenTelemetry exporter not installed"


class Tracing:
    """The tracer of this process; without an endpoint every method does nothing."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint`: base URL of an OTLP/HTTP collector; empty: no traces.

        Raises:
            ExporterMissing: the extra `otel` is not installed.
        """
        if endpoint and not _installed():
            raise ExporterMissing("FOVEAL_OTEL_ENDPOINT is set: expected the extra foveal[otel] to be installed")
        self._endpoint = endpoint
        self._tracer: trace.Tracer | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Export spans in a background thread while the context is open; closing it blocks until the last are sent."""
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
        """The span of a request, current while the context is open; the caller sets its name."""
        if self._tracer is None:
            yield trace.INVALID_SPAN
            return
        parent = propagate.extract(headers)
        with self._tracer.start_as_current_span("request", parent, trace.SpanKind.SERVER) as span:
            yield span

    def image(self, model: str, stages: StageTimings) -> None:
        """Add the spans of one image as children of the current one."""
        if self._tracer is None:
            return
        offset_ns = time.time_ns() - time.perf_counter_ns()
        for stage, at in stages.started_at.items():
            start_ns = offset_ns + int(1e9 * at)
            span = self._tracer.start_span(stage, start_time=start_ns, attributes={"foveal.model": model})
            span.end(start_ns + int(1e9 * stages.seconds[stage]))


def _installed() -> bool:
    try:
        return importlib.util.find_spec(EXPORTER) is not None
    except ModuleNotFoundError:  # its parent package is missing as well
        return False
