"""What Prometheus may ask: one object that holds every metric, so that the list is in one place.

Under BentoML the figures of all workers are kept in files (PROMETHEUS_MULTIPROC_DIR) and added up when asked for;
elsewhere they live in this process.
"""

import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from foveal.errors import FovealError

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
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

    def answered(self, status: int, seconds: Mapping[str, float], batch_size: int) -> None:
        """One image is done; the stages are those that it got to."""
        self._metrics.images.labels(*self._labels, str(status)).inc()
        for stage, value in seconds.items():
            if stage not in self._stages:
                self._stages[stage] = self._metrics.stage_seconds.labels(*self._labels, stage)
            self._stages[stage].observe(value)
        if batch_size:
            self._batch_size.observe(batch_size)

    def saw(self, image_hw: tuple[int, int], top_score: float | None) -> None:
        """What the image was and how sure the model is: a drift of either is the first sign of trouble."""
        self._megapixels.observe(image_hw[0] * image_hw[1] / 1e6)
        if top_score is not None:
            self._score.observe(top_score)

    def provider(self, requested: str, actual: str, *, served: bool) -> None:
        """Where the graph runs; 0 once the model is no longer served."""
        self._metrics.provider.labels(*self._labels, requested, actual).set(int(served))


class Metrics:
    """Every metric of the service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self.requests = Counter("foveal_requests", "Requests answered", ("route", "status"), registry=own)
        self.request_seconds = Histogram(
            "foveal_request_seconds",
            "From the request's head to the answer's end",
            ("route",),
            buckets=SECONDS,
            registry=own,
        )
        self.rejections = Counter("foveal_rejections", "Requests refused by limits, by fault", ("fault",), registry=own)
        self.failed_packages = Gauge(
            "foveal_failed_packages",
            "Packages of the zoo that are not served",
            multiprocess_mode="livemax",
            registry=own,
        )
        self.images = Counter(
            "foveal_images", "Images answered; status 200 or that of the fault", (*MODEL, "status"), registry=own
        )
        self.stage_seconds = Histogram(
            "foveal_stage_seconds",
            "Time of one image in each stage",
            (*MODEL, "stage"),
            buckets=SECONDS,
            registry=own,
        )
        self.batch_size = Histogram(
            "foveal_batch_size",
            "Images in the graph run of an image",
            MODEL,
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=own,
        )
        self.waiting = Gauge(
            "foveal_waiting_images",
            "Images taken in beyond the one whose turn it is",
            MODEL,
            multiprocess_mode="livesum",
            registry=own,
        )
        self.megapixels = Histogram(
            "foveal_image_megapixels",
            "Size of images",
            MODEL,
            buckets=(0.05, 0.25, 1, 2, 4, 8, 16, 32, 64),
            registry=own,
        )
        self.score = Histogram(
            "foveal_top_score", "Best score of an image", MODEL, buckets=[i / 10 for i in range(1, 11)], registry=own
        )
        self.provider = Gauge(
            "foveal_provider",
            "1 where a model runs",
            (*MODEL, "requested", "actual"),
            multiprocess_mode="livemax",
            registry=own,
        )

    def rejected(self, fault: FovealError) -> None:
        """Count a refusal."""
        self.rejections.labels(type(fault).__name__).inc()

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        everything = CollectorRegistry()
        MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)
