"""One loaded package at work: bytes -> the JSON of an entry, its stages spread over threads.

Decoding, preprocessing and rendering run in the service's image threads, the graph in the model's own thread (see
batching); the event loop only hands over. While a model is idle, one image thread does the whole walk.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from foveal.errors import FovealError
from foveal.formats import Entry, entry_bytes, to_json
from foveal.imaging import drawing
from foveal.imaging.decode import decode
from foveal.inference.pipeline import Predictor
from foveal.inference.verify import check_golden
from foveal.options import Options
from foveal.packages.package import ModelPackage
from foveal.service.http.body import Upload
from foveal.service.http.schemas import ModelRef
from foveal.service.inference.batching import Batcher, Gate, Ran
from foveal.service.observability.metrics import Metrics, ModelMetrics
from foveal.service.settings import Settings
from foveal.tasks import Prepared

JSON = "application/json"
OFFERED = (JSON, "image/png", "image/jpeg")  # JSON, or the image with the result drawn on it
STAGES = ("decode", "preprocess", "queue", "inference", "postprocess", "encode")
T = TypeVar("T")


@dataclass
class Stages:
    """What one image took, by stage; those that it got to."""

    seconds: dict[str, float] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)  # perf_counter()

    def note(self, stage: str, began: float, ended: float) -> None:
        """A stage is over."""
        self.began[stage], self.seconds[stage] = began, ended - began


@dataclass
class Answer:
    """One image's outcome and what it took."""

    body: bytes  # JSON: the exact bytes that stand under `results`; else the annotated image
    error: FovealError | None
    stages: Stages
    batch_size: int = 0


class Served:
    """A verified package, ready to answer. All settings that its requests need come in here, once."""

    def __init__(
        self,
        package: ModelPackage,
        settings: Settings,
        threads: ThreadPoolExecutor,
        metrics: Metrics,
        stamp: object,
    ) -> None:
        """Open the session and reproduce the goldens; takes a moment, so not on the event loop.

        `stamp` is compared by whoever watches the zoo.

        Raises:
            BadPackage, GoldenMismatch, ProviderUnavailable.
        """
        self.predictor = Predictor(package, settings.session())
        check_golden(self.predictor)
        self.manifest, self.task = self.predictor.manifest, self.predictor.task
        self.package = package
        self.stamp = stamp
        self.reference = to_json(  # the `model` member of an answer
            ModelRef(
                name=self.manifest.name,
                version=str(self.manifest.version),
                task=self.task.name,
                digest=package.digest,
            ).model_dump()
        )
        self.gate = Gate(settings.max_waiting_images, f"images of {package.ref}")
        own = 1 if self.predictor.provider == "cpu" else self.manifest.pipeline.max_batch
        self.batcher = Batcher(
            self.predictor.infer, self.task.batch_key, min(settings.batch_size or own, self.manifest.pipeline.max_batch)
        )
        self._metrics = ModelMetrics(metrics, self.manifest.name, str(self.manifest.version))
        self._threads = threads
        self._inside = 0  # images that `answer` is at work on
        self._max_pixels = settings.max_pixels

    def announce(self) -> None:
        """Tell Prometheus that it runs, and where."""
        self._metrics.provider(self.predictor.settings.provider, self.predictor.provider, served=True)

    def retire(self) -> None:
        """Tell Prometheus that it is no longer served. Requests in flight end as usual, then it is freed."""
        self._metrics.provider(self.predictor.settings.provider, self.predictor.provider, served=False)

    async def answer(self, upload: Upload, options: Options, media_type: str) -> Answer:
        """Predict for one image; a fault of the image is an answer, not an exception. `options` are resolved."""
        self._inside += 1
        self._metrics.waiting.set(self._inside - 1)
        try:
            answer = await self._answer(upload, options, media_type)
        finally:
            self._inside -= 1
            self._metrics.waiting.set(max(0, self._inside - 1))
        status = answer.error.status if answer.error else 200
        # counted once the answer is on its way
        asyncio.get_running_loop().call_soon(self._metrics.answered, status, answer.stages.seconds, answer.batch_size)
        return answer

    async def _answer(self, upload: Upload, options: Options, media_type: str) -> Answer:
        stages = Stages()
        try:
            done = await self._in_thread(self._at_once, upload, options, media_type, stages)
            if isinstance(done, Answer):
                return done
            ran = await self.batcher.run(done, options)
            return await self._in_thread(self._render, upload, ran, done, options, media_type, stages)
        except FovealError as error:
            return Answer(entry_bytes(Entry(upload.name, error), self.task.name, options), error, stages)

    def _at_once(self, upload: Upload, options: Options, media_type: str, stages: Stages) -> Prepared | Answer:
        """All of it, if the session is free; else the image ready for the queue."""
        prepared = self._prepare(upload.data, options, stages)
        ran = self.batcher.run_at_once(prepared, options)
        return prepared if ran is None else self._render(upload, ran, prepared, options, media_type, stages)

    def _prepare(self, data: bytes, options: Options, stages: Stages) -> Prepared:
        started = time.perf_counter()
        target = self.predictor.decode_target(options)
        decoded = decode(data, target_hw=target, max_pixels=self._max_pixels)
        decoded_at = time.perf_counter()
        prepared = self.predictor.prepare(decoded, options=options)
        stages.note("decode", started, decoded_at)
        stages.note("preprocess", decoded_at, time.perf_counter())
        return prepared

    def _render(
        self,
        upload: Upload,
        ran: Ran,
        prepared: Prepared,
        options: Options,
        media_type: str,
        stages: Stages,
    ) -> Answer:
        stages.note("queue", ran.queued_at, ran.started_at)
        stages.note("inference", ran.started_at, ran.finished_at)
        started = time.perf_counter()
        result = self.predictor.finish(ran.outputs, prepared, options)
        finished_at = time.perf_counter()
        self._metrics.saw(result.image_hw, result.top_score)
        if media_type == JSON:
            body = entry_bytes(Entry(upload.name, result, prepared.exif_orientation), self.task.name, options)
        else:  # drawn over the whole image; the model may have seen a reduced decode
            whole = decode(upload.data, max_pixels=self._max_pixels)
            body = drawing.encode(result.overlay(whole.rgb), media_type)
        stages.note("postprocess", started, finished_at)
        stages.note("encode", finished_at, time.perf_counter())
        return Answer(body, None, stages, ran.batch_size)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def server_timing(answers: list[Answer]) -> str:
    """The Server-Timing header: each stage in ms, summed over the images, and the largest batch they ran in."""
    stages = [f"{stage};dur={1000 * sum(a.stages.seconds.get(stage, 0.0) for a in answers):.3f}" for stage in STAGES]
    return ", ".join([*stages, f'batch;desc="{max(a.batch_size for a in answers)}"'])
