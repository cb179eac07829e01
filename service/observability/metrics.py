"""Prometheus metrics of the service (`Metrics`) and of one model (`ModelMetrics`).

With several worker processes the values are kept in files (PROMETHEUS_MULTIPROC_DIR) and summed at each scrape;
otherwise they are kept in this process.
"""

import os
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from foveal.errors import FovealError

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
MEGAPIXELS = (0.05, 0.25, 1, 2, 4, 8, 16, 32, 64)
SCORES = [i / 10 for i in range(1, 11)]
MODEL = ("model", "version")


class ModelMetrics:
    """The metrics of one model, its labels bound once."""

    def __init__(self, metrics: "Metrics", model: str, version: str) -> None:
        self._stages: dict[str, Histogram] = {}
        self._metrics, self._labels = metrics, (model, version)
        self.waiting = metrics.waiting.labels(model, version)
        self._batch_size = metrics.batch_size.labels(model, version)
        self._megapixels = metrics.megapixels.labels(model, version)
        self._score = metrics.score.labels(model, version)

    def completed(self, status: int, seconds: Mapping[str, float], batch_size: int) -> None:
        """Count a completed image; `seconds` holds the stages it completed."""
        self._metrics.images.labels(*self._labels, str(status)).inc()
        for stage, value in seconds.items():
            if stage not in self._stages:
                self._stages[stage] = self._metrics.stage_seconds.labels(*self._labels, stage)
            self._stages[stage].observe(value)
        if batch_size:
            self._batch_size.observe(batch_size)

    def observe_image(self, image_hw: tuple[int, int], top_score: float | None) -> None:
        """Record image size and best score: drift of either shows early that inputs have changed."""
        self._megapixels.observe(image_hw[0] * image_hw[1] / 1e6)
        if top_score is not None:
            self._score.observe(top_score)

    def provider(self, requested: str, actual: str, *, served: bool) -> None:
        """Set the gauge of the execution provider: 1 while the model is served, then 0."""
        self._metrics.provider.labels(*self._labels, requested, actual).set(int(served))


class Metrics:
    """Every metric of the service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self.requests = counter("foveal_requests", "HTTP requests; status 0: no response was sent", ("route", "status"))
        self.request_seconds = histogram(
            "foveal_request_seconds", "Time from the request's headers to the end of the response", ("route",),
            buckets=SECONDS,
        )  # fmt: skip
        self.rejections = counter("foveal_rejections", "Requests rejected by limits, by error", ("fault",))
        self.failed_packages = gauge(
            "foveal_failed_packages", "Packages in the zoo that could not be loaded", multiprocess_mode="livemax"
        )
        self.images = counter("foveal_images", "Images processed; status 200 or that of the error", (*MODEL, "status"))
        self.stage_seconds = histogram(
            "foveal_stage_seconds", "Time of one image in each stage", (*MODEL, "stage"), buckets=SECONDS
        )
        self.batch_size = histogram(
            "foveal_batch_size", "Images in the graph run that an image was part of", MODEL, buckets=BATCHES
        )
        self.waiting = gauge(
            "foveal_waiting_images", "Images admitted and waiting behind the one being processed", MODEL,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.megapixels = histogram("foveal_image_megapixels", "Image size in megapixels", MODEL, buckets=MEGAPIXELS)
        self.score = histogram("foveal_top_score", "Best score in an image", MODEL, buckets=SCORES)
        self.provider = gauge(
            "foveal_provider", "1 for the execution provider that a model runs on", (*MODEL, "requested", "actual"),
            multiprocess_mode="livemax",
        )  # fmt: skip

        self.memory_in_use = gauge(
            "foveal_memory_in_use_bytes", "Memory that requests in flight have reserved, when the last one ended",
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.memory_limit = gauge(
            "foveal_memory_limit_bytes", "Memory that requests in flight may reserve", multiprocess_mode="livesum"
        )

    def rejected(self, error: FovealError) -> None:
        """Count a rejected request."""
        self.rejections.labels(type(error).__name__).inc()

    def exposition(self) -> bytes:
        """The metrics in the Prometheus text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        everything = CollectorRegistry()
        MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)
